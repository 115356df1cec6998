"""A runtime's cache as text: the effect of planned calls and runs, and the model's input.

It knows what :mod:`rkllm_twisted.chat.plan` may assume of a board and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rkllm_twisted.chat.plan import Plan
from rkllm_twisted.chat.vocabulary import Vocabulary


class TextCache:
    """One cache.

    :param vocabulary: for tokens; its absence makes a word one token.
    """

    def __init__(self, vocabulary: Vocabulary | None) -> None:
        self._vocabulary = vocabulary
        self._tokens: list[int] = []
        self._texts: list[str] = []
        self._slots = ("", "[user]", "[assistant]")
        self._system_read = False

    @property
    def text(self) -> str:
        """The text that the model has read and written."""
        if self._vocabulary is not None:
            return self._vocabulary.decode(self._tokens)
        return "".join(self._texts)

    @property
    def size(self) -> int:
        """The number of tokens that ``rkllm_get_kv_cache_size`` returns."""
        return len(self._tokens) if self._vocabulary is not None else len(self.text.split())

    def read(self, plan: Plan) -> None:
        """Carry out a plan up to the first token of the answer."""
        for call in plan.calls:
            getattr(self, call.function.removeprefix("rkllm_"))(*call.params)
        self.run(plan.run_input)

    def clear_kv_cache(self, keep_system: int) -> None:
        """``rkllm_clear_kv_cache``."""
        self._tokens, self._texts = [], self._texts[:1] if keep_system and self._system_read else []
        self._system_read = bool(self._texts)

    def set_chat_template(self, system: str, prefix: str, postfix: str) -> None:
        """``rkllm_set_chat_template``: it clears the cache, too."""
        self._slots = (system, prefix, postfix)
        self.clear_kv_cache(0)

    def run(self, run_input: Mapping[str, Any]) -> None:
        """``rkllm_run``, up to the first token."""
        if "token_input" in run_input:
            assert len(run_input["token_input"]["input_ids"]) > 0, "nothing to answer"
            self._tokens += run_input["token_input"]["input_ids"]
            return
        system, prefix, postfix = self._slots
        if not self._system_read:
            self._texts.append(system)
            self._system_read = True
        self._texts.append(f"{prefix}{run_input['prompt_input']}{postfix}")

    def write(self, text: str, *, unread: int = 0) -> tuple[int, ...]:
        """Write the model's answer; return the tokens that callbacks bring.

        :param unread: how many of them, at the end, are not in the cache; -1 if the end token is,
            too, which no callback brings.
        """
        if self._vocabulary is None:
            self._texts.append(text)
            return ()
        tokens = self._vocabulary.encode_text(text)
        self._tokens += tokens[: len(tokens) - max(unread, 0)]
        if unread < 0:
            self._tokens.append(self._vocabulary.control["<|im_end|>"])
        return tokens
