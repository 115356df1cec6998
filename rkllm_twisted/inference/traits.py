"""The abilities of the runtime in use, as far as requests for answers depend on it."""

from __future__ import annotations

import attrs

from rkllm_twisted.abi.release import Release
from rkllm_twisted.abi.to_c import fields_of
from rkllm_twisted.chat.plan import CLEAR, Traits


@attrs.frozen
class RuntimeTraits:
    """The abilities of a release.

    :param plan: those that the plan of a turn depends on.
    :param sizes: True if it reports the size of its cache (since 1.2.1).
    :param reads_slot_marks: True if control tokens in the slots of its template are known to work.
    :param run_fields: the fields of RKLLMInferParam.
    """

    plan: Traits
    sizes: bool
    reads_slot_marks: bool
    run_fields: frozenset[str]


def traits_of(release: Release, backend: str) -> RuntimeTraits:
    """Return the abilities of the runtime in use."""
    has_history = CLEAR.function in release.functions
    return RuntimeTraits(
        Traits(
            history=has_history,
            # For the vendor's library this is not known yet. If it is wrong, an answer is wrong.
            keeps_system=has_history and backend != "npu",
            templates="rkllm_set_chat_template" in release.functions,
            reuses=has_history and backend != "npu",  # not known either; it only changes figures
            roles="role" in _fields(release, "RKLLMInput"),
        ),
        "rkllm_get_kv_cache_size" in release.functions,
        backend != "npu",
        _fields(release, "RKLLMInferParam"),
    )


def _fields(release: Release, struct: str) -> frozenset[str]:
    return frozenset(fields_of(release, release.structs[struct]))
