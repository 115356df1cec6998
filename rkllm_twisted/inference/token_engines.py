"""Finds a model's tokens for constraints. It blocks; used in threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import attrs

from rkllm_twisted.chat.token_table import TokenTable, byte_table, table_of
from rkllm_twisted.constraint_interfaces import IConstraint, IConstraintEngine
from rkllm_twisted.errors import InternalError
from rkllm_twisted.inference.profile import ModelProfile
from rkllm_twisted.structured.engines import find_engine
from rkllm_twisted.structured.form import Form

#: Models whose tokens are kept. They have up to a hundred megabytes.
KEPT_MODELS = 2


@attrs.frozen(eq=False)
class ModelTokens:
    """The tokens of one model, for one engine.

    :param profile: the model's, with a tokenizer.
    """

    profile: ModelProfile
    table: TokenTable
    engine: IConstraintEngine
    prepared: Any

    def constrain(self, form: Form) -> IConstraint:
        """Begin an answer. :raises InvalidParams: the form cannot be kept to."""
        constraint: IConstraint = self.engine.constrain(self.prepared, form)
        return constraint


class TokenEngines:
    """The tokens of the models that were used last.

    :param find: finds the engine for a kind of form.
    """

    def __init__(self, find: Callable[[str], IConstraintEngine] = find_engine) -> None:
        self._find = find
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[ModelProfile, str], ModelTokens | None] = OrderedDict()
        self._bytes: dict[str, Any] = {}

    def of(self, profile: ModelProfile, form: Form) -> ModelTokens | None:
        """Return the tokens of a model; None if neither it nor a file beside it shows them.

        :raises InternalError: no engine is installed.
        """
        engine = self._find(form.kind)
        key = (profile, engine.name)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = self._read(profile, engine)
            while len(self._kept) > KEPT_MODELS:
                self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]

    def has(self, kind: str) -> bool:
        """True if an engine for a kind of form is installed."""
        try:
            self._find(kind)
        except InternalError:
            return False
        return True

    def text_constraint(self, form: Form) -> Callable[[], IConstraint]:
        """Return a function that begins to check a text: each byte is a token of its value.

        :raises InternalError: no engine is installed.
        :raises InvalidParams: the form cannot be kept to.
        """
        engine = self._find(form.kind)
        with self._lock:
            if engine.name not in self._bytes:
                self._bytes[engine.name] = engine.tokens(byte_table())
        prepared = self._bytes[engine.name]
        engine.constrain(prepared, form)
        return lambda: engine.constrain(prepared, form)

    def _read(self, profile: ModelProfile, engine: IConstraintEngine) -> ModelTokens | None:
        found: ModelProfile | None = profile
        if profile.chat.vocabulary is None:
            found = None if profile.read_own is None else profile.read_own()
        if found is None or found.chat.vocabulary is None or not found.chat.vocabulary.words():
            return None
        table = table_of(found.chat.vocabulary, found.end_ids)
        return ModelTokens(found, table, engine, engine.tokens(table))
