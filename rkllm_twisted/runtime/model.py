"""A model that rkllm_init has loaded."""

from __future__ import annotations

import attrs

from rkllm_twisted.abi.layouts import CData
from rkllm_twisted.abi.prepare import PreparedCall


@attrs.define
class LoadedModel:
    """A model.

    :param made_by: its rkllm_init, kept because C may go on reading what that was given.
    :ivar width: of its embeddings; 0 if it could not be learnt, ``None`` before that was tried.
    """

    handle: CData = attrs.field(on_setattr=attrs.setters.frozen)
    made_by: PreparedCall = attrs.field(on_setattr=attrs.setters.frozen)
    width: int | None = None

    @property
    def param(self) -> CData:
        """The RKLLMParam."""
        return self.made_by.arguments["param"]

    @property
    def rows(self) -> int:
        """How many answers it computes at once (``n_batch``; 1 where the release has none)."""
        return max(1, getattr(self.param.extend_param, "n_batch", 1))
