"""Inference over a runtime that echoes, with an NPU thread that a test steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
from chat_templates import CHATML
from echo_runtime import EchoRuntime
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from vocabularies import tokenizer, vocabulary

from rkllm_twisted.chat.prompt_index import PromptIndex
from rkllm_twisted.chat.template import ChatTemplate
from rkllm_twisted.daemon.named_models import NamedModels
from rkllm_twisted.daemon.resident_model import ResidentModel
from rkllm_twisted.inference.cache_watch import CacheWatch
from rkllm_twisted.inference.model_turns import ModelTurns
from rkllm_twisted.inference.models import Profiles
from rkllm_twisted.inference.prompt_cache import PromptCache
from rkllm_twisted.inference.prompt_files import PromptFiles
from rkllm_twisted.inference.prompt_store import PromptStore
from rkllm_twisted.inference.service import Inference
from rkllm_twisted.inference.traits import RuntimeTraits
from rkllm_twisted.methods.chat_complete import Params
from rkllm_twisted.npu.history import HISTORIES
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.testing.threads import PacedThread, StepThread

#: The files beside a model -> how conversations are fed to it.
TIERS = ("tokens", "template", "runtime")
NOW = datetime(2026, 1, 2, 3, 4)


def furnish(
    directory: Path, tier: str, name: str = "m", template: str = CHATML, kind: str | None = None
) -> Path:
    """Put a model and its files into a directory of its own; return the model's path."""
    folder = directory / name
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / f"{name}.script"
    if model.exists():
        return model
    model.write_text(f"#!rkllm-script 1\n# {name}\nrun\nfinish\n")
    if kind is not None:
        (folder / "rkllm.toml").write_text(f'kind = "{kind}"\n')
    if tier != "runtime":
        (folder / "chat_template.jinja").write_text(template)
    if tier == "tokens":
        (folder / "tokenizer.json").write_text(tokenizer("byte_level").to_str())
        (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>"}))
    return model


@attrs.define
class Asked:
    """A request under way, and what came of it."""

    pieces: list[Any] = attrs.field(factory=list)
    result: Any = None
    error: Exception | None = None
    done: Deferred[Any] = attrs.field(factory=Deferred)

    def answer(self, value: Any) -> None:
        if isinstance(value, Failure):
            self.error = value.value  # type: ignore[assignment]
        else:
            self.result = value

    @property
    def is_over(self) -> bool:
        return self.result is not None or self.error is not None

    @property
    def text(self) -> str:
        """The answer's text."""
        if self.error is not None:
            raise self.error
        return str(self.result["message"]["content"])


class Rig:
    """Inference under test.

    :param path: the model that is loaded.
    :param runtime: another runtime than one that echoes.
    :param cache_dir: where long prompts are saved; None: nowhere.
    :ivar warnings: what the log would have of saved prompts.
    """

    def __init__(
        self,
        path: Path,
        tier: str = "runtime",
        *,
        release: str = "1.3.0",
        history: str = "shared",
        paced: bool = False,
        directories: tuple[str, ...] = (),
        open_template: Callable[..., Any] = ChatTemplate,
        context: int = 4096,
        cache_dir: Path | None = None,
        cache_bytes: int = 10**6,
        runtime: Any = None,
    ) -> None:
        paced_thread = PacedThread() if paced else None
        self.thread: Any = StepThread() if paced_thread is None else paced_thread
        pace: Any = {} if paced_thread is None else {"pace": paced_thread.pace}
        self.runtime: Any = runtime or EchoRuntime(
            vocabulary("byte_level") if tier == "tokens" else None, release=release, **pace
        )
        self.npu = ThreadNPU(
            self.runtime,
            self.thread.in_thread,
            self.thread.from_thread,
            history=HISTORIES[history](),
        )
        clock = Clock()
        models = NamedModels(directories, self.npu, clock)
        self.resident = ResidentModel(clock, self.npu, models)
        profiles = Profiles(
            self.npu, models.catalogue, bool(directories), models.catalogue_of, open_template
        )
        self.warnings: list[str] = []

        def open_prompts(_: RuntimeTraits, watch: CacheWatch) -> PromptCache | None:
            if cache_dir is None:
                return None
            files, index = PromptFiles(str(cache_dir)), PromptIndex(cache_bytes)
            store = PromptStore(files, index, self.warnings.append)
            return PromptCache(store, watch, lambda: self.runtime.seconds)

        turns = ModelTurns(clock, self.npu, self.resident, profiles, lambda: NOW, open_prompts)
        self.turns = turns
        self.inference = Inference(turns)
        self.context = context
        self.load(path)

    def load(self, path: Path) -> None:
        """Load a model."""
        param = {"model_path": str(path), "max_context_len": self.context}
        done = self.npu.call("rkllm_init", [param])
        self.settle()
        done.addErrback(lambda failure: failure.raiseException())

    def start(self, messages: list[Any], client: object = None, **params: Any) -> Asked:
        """Begin a request."""
        return self.begin("chat.complete", Params(messages, **params), client)

    def begin(self, method: str, params: Any, client: object = None) -> Asked:
        """Begin a request of any method."""
        asked = Asked()
        work: Any = self.inference.answer(method, params, client, asked.pieces.append)
        asked.done = Deferred.fromCoroutine(work)
        asked.done.addBoth(asked.answer)
        return asked

    def ask(self, messages: list[Any], **params: Any) -> Asked:
        """Make a request and wait for its end."""
        asked = self.start(messages, **params)
        self.settle()
        return asked

    def run(self, prompt: str, client: object = None, **infer: Any) -> Asked:
        """Begin a client's own run."""
        asked = Asked()
        text: list[str] = []
        params = [{"prompt_input": prompt}, infer]
        asked.done = self.npu.run("rkllm_run", params, lambda one: text.append(one["text"]), client)
        asked.done.addCallback(lambda _: {"message": {"content": "".join(text)}})
        asked.done.addBoth(asked.answer)
        return asked

    def settle(self) -> None:
        """Run everything that waits for the thread."""
        if getattr(self.thread, "busy", False):
            self.thread.step()
        self.thread.run()


def user(text: str) -> dict[str, str]:
    """A user's message."""
    return {"role": "user", "content": text}
