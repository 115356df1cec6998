"""The engine that comes with the extra ``[structured]``: llguidance."""

from __future__ import annotations

import importlib.util
import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.chat.messages import wrong
from rkllm_twisted.chat.token_table import TokenTable
from rkllm_twisted.constraint_interfaces import IConstraint, IConstraintEngine
from rkllm_twisted.errors import RuntimeRefused
from rkllm_twisted.structured.form import KINDS, Form

PACKAGES = ("llguidance", "numpy")
#: Stands before the name of a control token, so that no text of an answer can be read as one.
_CONTROL = b"\xff"
#: Forms of one model that are kept compiled: a large schema takes a second.
KEPT_FORMS = 16
#: llguidance's words that name no keyword -> what is wrong.
_PLAINER = {"decimal literal invalid": "minLength and maxLength are at most 4294967295"}
#: How llguidance says that no token may come next.
_DEAD_END = "NoExtensionBias"


@attrs.frozen(eq=False)
class _CompiledForms:
    """A model's tokens, and the forms that were compiled for them last.

    :param kept: matchers that nothing was read by.
    """

    tokenizer: Any
    size: int
    kept: OrderedDict[Form, Any] = attrs.field(factory=OrderedDict)


@implementer(IPlugin, IConstraintEngine)
class LLGuidance:
    """Constraints by llguidance."""

    name = "llguidance"
    kinds = frozenset(KINDS)

    def missing(self) -> str | None:
        """See :class:`IConstraintEngine`."""
        lacking = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
        if not lacking:
            return None
        return (
            f"For answers in a given form, the package {lacking[0]} is needed:"
            " pip install 'rkllm-twisted[structured]' installs it."
        )

    def tokens(self, table: TokenTable) -> Any:
        """See :class:`IConstraintEngine`."""
        from llguidance import LLTokenizer, TokenizerWrapper  # noqa: PLC0415 - an extra

        wrapped = TokenizerWrapper(_WrappedTable(table))
        ends = sorted(table.ends)
        return _CompiledForms(LLTokenizer(wrapped, n_vocab=table.size, eos_token=ends), table.size)

    def constrain(self, tokens: Any, form: Form) -> IConstraint:
        """See :class:`IConstraintEngine`."""
        matcher = tokens.kept.get(form)
        if matcher is None:
            matcher = tokens.kept[form] = _compiled(tokens, form)
            # Threads may compile at the same time, so that another may have removed it already.
            while len(tokens.kept) > KEPT_FORMS:
                tokens.kept.popitem(last=False)
        return LLGuidanceConstraint(matcher.deep_copy())


class _WrappedTable:
    """A token table in the words of llguidance."""

    bos_token_id = None

    def __init__(self, table: TokenTable) -> None:
        self.tokens = [
            _CONTROL + text if number in table.control else text
            for number, text in enumerate(table.texts)
        ]
        self.eos_token_id = min(table.ends)
        self.special_token_ids = sorted(table.control)
        self._encode = table.encode

    def __call__(self, text: bytes | str) -> list[int]:
        return list(self._encode(text.decode() if isinstance(text, bytes) else text))


@implementer(IConstraint)
class LLGuidanceConstraint:
    """One answer under llguidance."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    @property
    def stopped(self) -> bool:
        """See :class:`IConstraint`."""
        self._check()
        return bool(self._matcher.is_stopped())

    @property
    def accepting(self) -> bool:
        """See :class:`IConstraint`."""
        return bool(self._matcher.is_accepting())

    def fill(self, mask: bytearray) -> None:
        """See :class:`IConstraint`."""
        _fill(self._matcher, mask)
        self._check()

    def consume(self, tokens: Sequence[int]) -> int:
        """See :class:`IConstraint`."""
        taken = int(self._matcher.try_consume_tokens(list(tokens)))
        self._check()
        return taken

    def forced(self) -> Sequence[int]:
        """See :class:`IConstraint`."""
        found: list[int] = self._matcher.compute_ff_tokens()
        self._check()
        return found

    def _check(self) -> None:
        if self._matcher.is_error():
            why = _sentence(self._matcher.get_error())
            raise RuntimeRefused(
                f"The answer's form is too complex to go on: {why}; make it simpler.",
                {"function": "llguidance", "status_code": -1},
            )


def _fill(matcher: Any, mask: bytearray) -> None:
    import numpy as np  # noqa: PLC0415 - an extra

    # Of all its ways, this one copies nothing and lets other threads run.
    view = np.frombuffer(mask, np.uint8)
    matcher.unsafe_compute_mask_ptr(view.ctypes.data, view.size)


def _compiled(tokens: _CompiledForms, form: Form) -> Any:
    """Return a matcher that nothing was read by. :raises InvalidParams: no answer is possible."""
    from llguidance import LLMatcher  # noqa: PLC0415 - an extra

    try:
        matcher = LLMatcher(tokens.tokenizer, _grammar(form), log_level=0)
    except ValueError as error:
        raise wrong(form.place, f"cannot be read: {_sentence(str(error))}") from None
    if not matcher.is_error():
        # A form that is only itself, as the grammar `start: start`, is known by its first mask.
        trial = matcher.deep_copy()
        trial.try_consume_tokens(trial.compute_ff_tokens())
        if not trial.is_stopped():
            _fill(trial, bytearray(-(-tokens.size // 32) * 4))
        if not trial.is_error():
            return matcher
        matcher = trial
    words = matcher.get_error()
    if _DEAD_END in words:
        raise wrong(form.place, "cannot be kept to: there is no text that it allows")
    raise wrong(form.place, f"cannot be kept to: {_sentence(words)}")


def _grammar(form: Form) -> str:
    from llguidance import LLMatcher  # noqa: PLC0415 - an extra
    from llguidance.gbnf_to_lark import any_to_lark  # noqa: PLC0415 - an extra

    match form.kind:
        case "schema":
            return LLMatcher.grammar_from_json_schema(
                form.text, overrides={"whitespace_flexible": form.flexible}
            )
        case "regex":
            return LLMatcher.grammar_from_regex(form.text)
        case "choices":
            texts = (json.dumps(one) for one in json.loads(form.text))
            return LLMatcher.grammar_from_lark(f"start: {' | '.join(texts)}")
        case _:
            try:
                return LLMatcher.grammar_from_lark(any_to_lark(form.text))
            except Exception as error:  # noqa: BLE001 - it raises classes of its own
                raise wrong(form.place, f"cannot be read: {_sentence(str(error))}") from None


def _sentence(words: str) -> str:
    """Return the engine's words on one line, without a full stop and the text that it points at."""
    first, *others = [line.strip() for line in words.strip().splitlines()] or [""]
    said = [first, *(line for line in others if line.startswith("error:"))]
    text = " ".join(said)
    plainer = next((plain for known, plain in _PLAINER.items() if known in text), text)
    return plainer.rstrip(".:")[:500] or "no reason is given"


llguidance_engine = LLGuidance()
