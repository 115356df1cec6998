"""Interprets the number that a function of rkllm.h returns: 0 is success, else it has refused."""

from __future__ import annotations

from collections.abc import Mapping

from rkllm_twisted.abi.release import Release
from rkllm_twisted.errors import NotInRelease, RuntimeRefused

#: Function -> what to check if it refuses; the library itself only returns a number.
HINTS: Mapping[str, str] = {
    "rkllm_init": "check that the model is made for this chip and this release of the runtime, that"
    " max_context_len is within the model's limit, and that there is memory left",
    "rkllm_run": "check that the prompt fits into max_context_len",
    "rkllm_run_async": "check that the prompt fits into max_context_len",
    "rkllm_abort": "there may be no run under way",
    "rkllm_load_lora": "check that the adapter is made for the loaded model",
    "rkllm_load_prompt_cache": "check that the cache was saved with the loaded model",
    "rkllm_clear_kv_cache": "ranges can be cleared only while a run without history is paused",
    "rkllm_set_function_tools": "check that the model has a chat template for tools",
}

#: The same for any other function. In thread mode the lines are on stderr only.
LINES_HINT = "the runtime's own lines, in the daemon's log or on its stderr, say why"


def outputs_of(function: str, status: int) -> dict[str, object]:
    """Return the outputs that every function has, for a status.

    :raises RuntimeRefused: the status is not 0.
    """
    if status != 0:
        hint = HINTS.get(function, LINES_HINT)
        raise RuntimeRefused(
            f"{function} returned {status}; {hint}.",
            {"function": function, "status_code": status},
        )
    return {"success": True, "status_code": status}


def check_pausable(release: Release) -> None:
    """Check that a callback of the release can ask for a pause.

    :raises NotInRelease: it returns nothing; the text names the releases that let a run pause.
    """
    if release.can_pause:
        return
    having = release.releases_where(lambda one: one.can_pause)
    raise NotInRelease(
        f"A run of release {release.name} cannot be paused; it needs {having[0]} or later.",
        {"function": "LLMResultCallback", "releases": having},
    )
