"""A runtime whose answers say what it has read: the secrets in its cache."""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from rkllm_twisted.abi.from_c import empty_result
from rkllm_twisted.chat.vocabulary import Vocabulary
from rkllm_twisted.errors import InvalidParams, RuntimeRefused
from rkllm_twisted.interfaces import IRuntime
from rkllm_twisted.testing import Answer, End, FakeRuntime
from rkllm_twisted.testing.results import figures
from rkllm_twisted.values import SAVED, FloatArray, OnResults

#: What a message may hold that no template and no other message holds.
SECRET = re.compile(r"zq\d+q")
#: What a file that cannot be written is reported with.
NO_FILE = InvalidParams(
    "prompt_cache_path: No space left on device.",
    {"parameter": "rkllm_infer_params.prompt_cache_params.prompt_cache_path"},
)
#: The runtime's own template.
OWN_SLOTS = ("", "<user>", "<end>")


def secrets_in(text: str) -> set[str]:
    """Return the secrets in a text."""
    return set(SECRET.findall(text))


class EchoRuntime(FakeRuntime):
    """A fake runtime with a cache like a real one's.

    An abort spoils the cache, unless a callback makes it: the cache is as large as before, but
    nothing in it is what was read. No library promises more.

    :param vocabulary: what token inputs are made of.
    :ivar cache: the words or tokens that the cache holds.
    :ivar then: the end of the next run; None for a usual end.
    :ivar is_mute: True if runs for hidden states and logits return nothing.
    :ivar keeps_array_runs: whether a run for hidden states or logits stays in the cache; called
        with whether it is to stay.
    :ivar columns: how many columns the logits have; None for one each token of the vocabulary.
    :ivar extra: how many tokens come before those of a prompt; called with whether the cache holds
        something.
    :ivar reads: how many words or tokens each run has read.
    :ivar multimodal: the multimodal inputs.
    :ivar at_hand: how many of these the next runs report as not read.
    :ivar seconds: the time that has passed: :attr:`costs` of reading a token, of saving a prompt
        and of loading one.
    :ivar saving: how a prompt is saved: well; not, as on a full disk; or not, with an error before
        or after the run.
    :ivar restoring: how a saved prompt is restored: well; not at all; before the whole prompt;
        twice; or blindly, also if the prompt begins otherwise.
    :ivar loaded_prompt: the saved prompt that is loaded.
    """

    def __init__(self, vocabulary: Vocabulary | None = None, **how: Any) -> None:
        super().__init__(**how)
        self.version = attrs.evolve(self.version, backend="cpu (echo)")
        self._vocabulary = vocabulary
        self.then: Any = None
        self.is_mute = False
        self.keeps_array_runs: Callable[[bool], bool] = bool
        self.columns: int | None = None
        self.extra: Callable[[bool], int] = lambda _: 0
        self.reads: list[int] = []
        self.multimodal: list[Mapping[str, Any]] = []
        self.at_hand = 0
        self._is_calling = self._is_spoilt = False
        self.seconds = 0.0
        self.costs = {"read": 0.1, "save": 0.01, "load": 0.01}
        self.saving = self.restoring = "well"
        self._forget()

    def _forget(self) -> None:
        self.cache: list[str | int] = []
        self._in_slot = 0
        self._slots = OWN_SLOTS
        self.loaded_prompt: list[int] | None = None

    @property
    def read(self) -> int:
        """How many words or tokens the last run has read."""
        return self.reads[-1] if self.reads else 0

    @property
    def _width(self) -> int:
        if self.columns is not None:
            return self.columns
        return 1 if self._vocabulary is None else self._vocabulary.size

    @property
    def text(self) -> str:
        """What the cache holds, as text."""
        ids = [one for one in self.cache if isinstance(one, int)]
        words = [one for one in self.cache if isinstance(one, str)]
        decoded = self._vocabulary.decode(ids) if ids and self._vocabulary else ""
        return " ".join([*words, decoded])

    def perform(self, prepared: Any, on_results: OnResults | None = None) -> dict[str, Any]:
        """See :meth:`IRuntime.perform`."""
        if on_results is not None:
            self._check_model()
            self.performed.append(prepared.function)
            return self._echo(prepared.arguments, on_results)
        outputs = super().perform(prepared)
        change = _CHANGES.get(prepared.function)
        return change(self, prepared.arguments, outputs) if change else outputs

    def _clear(self, arguments: Mapping[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
        del self.cache[self._in_slot if arguments["keep_system_prompt"] else 0 :]
        return outputs

    def _set_slots(self, arguments: Mapping[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
        names = ("system_prompt", "prompt_prefix", "prompt_postfix")
        self.cache.clear()
        self._slots = tuple(arguments.get(name) or "" for name in names)  # type: ignore[assignment]
        return outputs

    def _load(self, _: Mapping[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
        self._forget()
        return outputs

    def _size(self, _: Mapping[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
        return {**outputs, "cache_sizes": [len(self.cache)]}

    def _echo(self, arguments: Mapping[str, Any], on_results: OnResults) -> dict[str, Any]:
        before = list(self.cache)
        infer = arguments.get("rkllm_infer_params") or {}
        restored = self._restore(arguments["rkllm_input"].get("token_input"))
        held = len(self.cache)
        self._take_in(arguments["rkllm_input"], restored)
        self.reads.append(len(self.cache) - held)
        self.seconds += self.read * self.costs["read"]
        saved = self._save(infer.get("prompt_cache_params"))
        mode = infer.get("mode") or ""
        if mode in _ARRAYS:
            self._send_arrays(mode, on_results)
            if not self.keeps_array_runs(bool(infer.get("keep_history"))):
                self.cache[:] = before
            return {"success": True, "status_code": 0}
        came: list[Any] = []
        parts = self._parts("saw " + " ".join(sorted(secrets_in(self.text))))

        def keep(results: Any) -> None:
            [result] = results
            if result["_callback_state"] == 0:
                came.append(result)
            elif "perf" in result:
                written = len(came) + (len(came) == len(parts))  # with the end token
                result = {**result, "perf": figures(self.read - self.at_hand, written)}
            self._call_back(on_results, result)

        then, self.then = self.then, None
        end = self._play(Answer(parts, then=End.FINISH if then is None else then), keep)
        member = "text" if self._vocabulary is None else "token_id"
        self.cache += [one[member] for one in came]
        if len(came) == len(parts):
            self.cache.append(self._end_token())
        if not infer.get("keep_history"):
            self.cache[:] = before
        if self._is_spoilt:
            self.cache[:] = [self._end_token()] * len(self.cache)
        if saved and self.saving == "error after":
            raise NO_FILE
        return {**end, **saved}

    def _send_arrays(self, mode: str, on_results: OnResults) -> None:
        self._pace()
        result = _ARRAYS[mode](self.text, self.read, self._width)
        if not self.is_mute:
            on_results([{**empty_result(self._layout), **result, "_callback_state": 0}])

    def _call_back(self, on_results: OnResults, result: Any) -> None:
        self._is_calling = True
        try:
            on_results([result])
        finally:
            self._is_calling = False

    def abort(self) -> dict[str, Any]:
        """See :meth:`IRuntime.abort`."""
        self._is_spoilt = self._is_spoilt or not self._is_calling
        return super().abort()

    def _save(self, asked: Mapping[str, Any] | None) -> dict[str, Any]:
        if not asked:
            return {}
        if self.saving == "error before":
            raise NO_FILE
        self.seconds += self.costs["save"]
        if self.saving == "well":
            Path(asked["prompt_cache_path"]).write_text(json.dumps(self.cache))
        return {SAVED: self.saving == "well"}

    def _load_prompt(self, arguments: Mapping[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
        self.seconds += self.costs["load"]
        text = Path(arguments["prompt_cache_path"]).read_text()
        if self.loaded_prompt is not None or not text.endswith("]"):
            raise RuntimeRefused("rkllm_load_prompt_cache returned -1.", {"status_code": -1})
        self.loaded_prompt = json.loads(text)
        self.cache.clear()
        return outputs

    def _release_prompt(self, _: Mapping[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
        self.loaded_prompt = None
        return outputs

    def _restore(self, given: Mapping[str, Any] | None) -> int:
        """Put what a prompt and the loaded one begin with into the cache.

        :returns: how many of the prompt's tokens need not be read.
        """
        if not given or not self.loaded_prompt or self.cache or self.restoring == "not":
            return 0
        if self.restoring in ("blindly", "twice"):
            self.cache += self.loaded_prompt * (1 + (self.restoring == "twice"))
            return len(self.loaded_prompt)
        same = 0
        for one, other in zip(given["input_ids"][:-1], self.loaded_prompt, strict=False):
            if one != other:
                break
            same += 1
        self.cache += given["input_ids"][:same]
        return same if self.restoring == "well" else 0

    def _take_in(self, given: Mapping[str, Any], restored: int) -> None:
        if given.get("token_input"):
            self.cache += [self._end_token()] * self.extra(bool(self.cache))
            self.cache += given["token_input"]["input_ids"][restored:]
            return
        text = given.get("prompt_input")
        if given.get("multimodal_input"):
            self.multimodal.append(given["multimodal_input"])
            text = given["multimodal_input"]["prompt"]
        system, prefix, postfix = self._slots
        if not self.cache:
            self.cache += system.split()
            self._in_slot = len(self.cache)
        self.cache += f"{prefix} {text} {postfix}".split()

    def _parts(self, answer: str) -> tuple[Any, ...]:
        if self._vocabulary is None:
            return tuple(
                {"text": word, "token_id": at}
                for at, word in enumerate(re.findall(r"\S+\s*", answer))
            )
        ids = self._vocabulary.encode_text(answer)
        return tuple({"text": self._vocabulary.decode([one]), "token_id": one} for one in ids)

    def _end_token(self) -> str | int:
        return "<end>" if self._vocabulary is None else self._vocabulary.control["<|im_end|>"]

    def _play(self, answer: Answer, on_results: OnResults) -> dict[str, Any]:
        self._pace()
        self._stopped.clear()
        self._is_spoilt = False
        self._running = True
        try:
            self._generate(answer, "", on_results)
        finally:
            self._running = False
        return {"success": True, "status_code": 0}


def _rows(text: str, rows: int, width: int) -> FloatArray:
    """Return numbers that depend on the whole text."""
    digest = hashlib.sha256(text.encode()).digest()
    row = array("f", (1 + digest[at % len(digest)] / 256 for at in range(width)))
    return FloatArray((row * rows).tobytes(), (rows, width))


def _hidden(text: str, rows: int, _: int) -> dict[str, Any]:
    states = _rows(text, rows, 4)
    return {"last_hidden_layer": {"hidden_states": states, "embd_size": 4, "num_tokens": rows}}


def _logits(text: str, rows: int, width: int) -> dict[str, Any]:
    logits = _rows(text, rows, width)
    return {"logits": {"logits": logits, "vocab_size": width, "num_tokens": rows}}


_ARRAYS = {
    "RKLLM_INFER_GET_LAST_HIDDEN_LAYER": _hidden,
    "RKLLM_INFER_GET_LOGITS": _logits,
}
_CHANGES = {
    "rkllm_clear_kv_cache": EchoRuntime._clear,
    "rkllm_set_chat_template": EchoRuntime._set_slots,
    "rkllm_init": EchoRuntime._load,
    "rkllm_destroy": EchoRuntime._load,
    "rkllm_get_kv_cache_size": EchoRuntime._size,
    "rkllm_load_prompt_cache": EchoRuntime._load_prompt,
    "rkllm_release_prompt_cache": EchoRuntime._release_prompt,
}
assert IRuntime.implementedBy(EchoRuntime)
