"""Checks of the library, the model and the daemon. Pure."""

from __future__ import annotations

import shlex

from rkllm_twisted.board.finding import OK, SKIPPED, WARNING, WRONG, Finding
from rkllm_twisted.board.machine import Machine

#: The memory for context and buffers, as a fraction of the model's size.
HEADROOM_SHARE = 0.2
GIB = 1024**3


def runtime(machine: Machine) -> Finding:
    """Check that a librkllmrt exists, and report its release."""
    if isinstance(machine.runtime, str):
        missing_gomp = "libgomp" in machine.runtime
        return Finding(
            WRONG,
            machine.runtime,
            "sudo apt-get install libgomp1" if missing_gomp else "twistd -n rkllm --library PATH",
        )
    found = machine.runtime
    release = f"release {found.version}" if found.version else "of no stated release"
    return Finding(
        OK,
        f"{found.library} is {release} and is used with the layout of {found.abi}:"
        f" {found.recognised_by}.",
    )


def memory(machine: Machine) -> Finding:
    """Check that the model fits into memory."""
    model, free = machine.model, machine.memory_available
    if model is None:
        return Finding(SKIPPED, "No model is loaded; name one with --model to see whether it fits.")
    if model.size is None:
        return Finding(WRONG, f"The model {model.path} is not there.", f"ls -l {model.path}")
    if model.loaded:
        return Finding(OK, f"The model {model.path} is loaded.")
    if free is None:
        return Finding(SKIPPED, "The available memory cannot be read.")
    sizes = f"{model.path} has {model.size / GIB:.1f} GiB and {free / GIB:.1f} GiB are available"
    if free < model.size:
        return Finding(WRONG, f"{sizes}: it does not fit.", "ps aux --sort=-rss | head")
    if free < model.size * (1 + HEADROOM_SHARE):
        return Finding(
            WARNING,
            f"{sizes}: there is hardly room for its context.",
            f"rkllm init {shlex.quote(model.path)} -p max_context_len=2048",
        )
    return Finding(OK, f"{sizes}.")


def daemon(machine: Machine) -> Finding:
    """Check that a daemon answers."""
    if machine.daemon.problem is not None:
        return Finding(WRONG, machine.daemon.problem, machine.daemon.remedy)
    state = machine.daemon.status.get("state", "of unknown state")
    problem = machine.daemon.status.get("problem")
    if state in ("stuck", "failed"):
        return Finding(
            WRONG,
            f"The daemon's runtime is {state}{f': {problem}' if problem else ''}.",
            "restart the daemon",
        )
    return Finding(OK, f"The daemon at {machine.daemon.socket} answers; its NPU is {state}.")


def socket(machine: Machine) -> Finding:
    """Check that the daemon's socket is not open to every user."""
    node = machine.socket
    if node is None:
        return Finding(SKIPPED, f"There is no socket {machine.daemon.socket}.")
    mode = node.mode & 0o777
    if mode & 0o002:
        return Finding(
            WARNING,
            f"Every user of this machine may use {node.path} (mode {mode:04o}).",
            "twistd -n rkllm --mode 0660",
        )
    return Finding(OK, f"{node.path} has the mode {mode:04o}.")
