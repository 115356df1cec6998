"""Rules for structures that the C types do not state."""

from __future__ import annotations

import pytest

from rkllm_twisted.abi.struct_rules import check_role
from rkllm_twisted.errors import InvalidParams


@pytest.mark.parametrize("role", ["sytem", "usr", "Users", "asistant", "toool"])
def test_a_misspelt_role_is_refused(role: str) -> None:
    """The error names the role that is meant."""
    with pytest.raises(InvalidParams, match="perhaps"):
        check_role("rkllm_input.role", role)


@pytest.mark.parametrize(
    "role", ["user", "assistant", "", None, "sst", "developer", "bot", "narrator"]
)
def test_any_other_role_is_accepted(role: str | None) -> None:
    """A model may have roles of its own."""
    check_role("rkllm_input.role", role)
