"""A model that rkllm_init has loaded."""

from __future__ import annotations

import attrs

from rkllm_twisted.binding.layouts import CData
from rkllm_twisted.binding.prepare import PreparedCall


@attrs.frozen
class Loaded:
    """A model.

    :param made_by: its rkllm_init, kept because C may go on reading what that was given.
    """

    handle: CData
    made_by: PreparedCall

    @property
    def param(self) -> CData:
        """The RKLLMParam."""
        return self.made_by.arguments["param"]

    @property
    def rows(self) -> int:
        """How many answers it computes at once (``n_batch``; 1 where the release has none)."""
        return max(1, getattr(self.param.extend_param, "n_batch", 1))
