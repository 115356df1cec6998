"""Reads tokens behind those in the cache, and returns rows of logits. In the NPU thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from rkllm_twisted.chat.plan import CLEAR
from rkllm_twisted.chat.trail import cache_size
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.inference.array_run import HIDDEN, LOGITS, NoArrayError, array_run, token_input
from rkllm_twisted.inference.token_engines import ModelTokens
from rkllm_twisted.inference.tokenizer_check import require_own
from rkllm_twisted.inference.traits import RuntimeTraits
from rkllm_twisted.inference.whole_run import RUN
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.structured.picker import Picker

if TYPE_CHECKING:
    from rkllm_twisted.structured.picker import Row

#: The tokens that one run for hidden states reads: they come back as many megabytes.
TOKENS_PER_RUN = 512
#: The most tokens of a run for logits, of which each brings a row; what goes before is read for
#: hidden states, which are far shorter.
TOKENS_WITH_ROWS = 16


class NotAppendedError(RuntimeRefused):
    """The runtime does not read tokens behind those in its cache, so no answer can be steered."""


@attrs.define
class TokenReader:
    """Reads tokens behind those in the cache, and checks once that this is what happens.

    :param infer: further fields of each run's RKLLMInferParam.
    :param cached: how many tokens the cache holds.
    :param picker: what takes the rows.
    """

    tokens: ModelTokens
    traits: RuntimeTraits
    infer: Mapping[str, object]
    turn: ITurn
    cached: int
    picker: Picker | None = None
    is_checked: bool = False

    def read(self, tokens: Sequence[int]) -> None:
        """Read tokens."""
        for start in range(0, len(tokens), TOKENS_PER_RUN):
            self._run(HIDDEN, tokens[start : start + TOKENS_PER_RUN])

    def row(self, tokens: Sequence[int]) -> Row:
        """Read tokens; return the row of logits behind the last one.

        :raises NotAppendedError: the runtime cannot do this.
        """
        self.read(tokens[:-TOKENS_WITH_ROWS])
        data = self._run(LOGITS, tokens[-TOKENS_WITH_ROWS:])
        if not self.is_checked:
            self._check(data.shape[-1])
        assert self.picker is not None
        return self.picker.row(data.data, data.shape[-1])

    def rest(
        self,
        prompt: Sequence[int],
        kept: Sequence[int],
        given: Sequence[int] = (),
        *,
        whole: bool,
        may_be_none: bool = False,
    ) -> Sequence[int]:
        """Return the tokens to read next. If the cache cannot be used as it stands, it is cleared.

        :param kept: what the model has written behind the prompt, and stays.
        :param given: what comes behind that.
        :param whole: True if nothing else was written.
        :param may_be_none: True if there is more to read, so that these may be none.
        """
        size = self.size() if whole else None
        if size is not None:
            unread = len(prompt) + len(kept) - size
            if 0 <= unread <= len(kept) and (unread or given or may_be_none):
                self.cached = size
                return [*kept[len(kept) - unread :], *given]
        self.turn.perform(self.turn.prepare(CLEAR.function, list(CLEAR.params)))
        self.cached = 0
        return [*prompt, *kept, *given]

    def size(self) -> int | None:
        """Return the size of the cache; None if the release cannot tell."""
        if not self.traits.sizes:
            return None
        return cache_size(self.turn.perform(self.turn.prepare("rkllm_get_kv_cache_size", None)))

    def _run(self, mode: str, tokens: Sequence[int]) -> Any:
        infer = {**self.infer, "keep_history": 1}
        context = self.tokens.profile.chat.context
        try:
            found = array_run(self.turn, mode, token_input(tokens), infer, context)
        except NoArrayError as error:
            if mode == LOGITS:
                raise NotAppendedError(error.message, error.data) from None
            return None
        finally:
            self.cached += len(tokens)
        return found

    def _check(self, columns: int) -> None:
        """Check that the model is the tokenizer's, and that the tokens were read."""
        vocabulary = self.tokens.profile.chat.vocabulary
        assert vocabulary is not None
        require_own(vocabulary.width_mismatch(columns))
        size = self.size()
        if size is not None and size != self.cached:
            raise NotAppendedError(
                f"The runtime's cache holds {size} tokens after {self.cached} were read.", RUN
            )
        self.is_checked = True
