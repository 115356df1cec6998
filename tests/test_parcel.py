"""What crosses between the daemon and the runtime's process comes out as it went in."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rkllm_twisted.interfaces import FloatArray
from rkllm_twisted.wire import parcel

FLOATS = st.lists(st.floats(width=32), max_size=6).map(
    lambda numbers: FloatArray(b"".join(bytes(4) for _ in numbers), (len(numbers),))
)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
)
VALUES = st.recursive(
    SCALARS | FLOATS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(VALUES))
def test_params_come_out_as_they_went_in(params: list[Any]) -> None:
    """Whatever JSON can say, and float arrays; numbers of any size."""
    sent = parcel.Perform(1, "rkllm_run", parcel.parcelled(params), False)
    assert parcel.to_child(parcel.pack(sent)).params == params  # type: ignore[union-attr]
