"""Runs the runtime in a child process, or in a thread of the daemon's own process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.threads import blockingCallFromThread
from twisted.logger import Logger

from rkllm_twisted.cpu import LLAMA, libllama
from rkllm_twisted.daemon.coercions import processors
from rkllm_twisted.daemon.options import Options
from rkllm_twisted.errors import StartupError
from rkllm_twisted.interfaces import IRuntime
from rkllm_twisted.isolation.c_host import c_host_problem
from rkllm_twisted.isolation.config import ChildConfig
from rkllm_twisted.isolation.output import log_line
from rkllm_twisted.isolation.process_runtime import ProcessRuntime
from rkllm_twisted.isolation.supervisor import Supervisor
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.runtime.library import without_prompts
from rkllm_twisted.runtime.probe import probe
from rkllm_twisted.runtime.runtime import open_runtime

_log = Logger("rkllm.daemon")
#: The processors that are online, such as ``0-7`` (Documentation/admin-guide/cputopology.rst).
ONLINE = Path("/sys/devices/system/cpu/online")


@attrs.frozen
class RuntimeHost:
    """A runtime, and the service that keeps its process running.

    :param is_alive: returns True if the process that it runs in responds.
    """

    runtime: IRuntime
    service: Service
    is_alive: Callable[[], bool]


class LocalLibrary(Service):
    """The library in this process. Its lines are not collected.

    It writes to the descriptors 1 and 2, which belong to the whole process. A pipe in their place
    would take what the application prints, and the log.
    """

    def startService(self) -> None:
        """Log where the lines of the library are."""
        super().startService()
        _log.info(
            "the library runs in the daemon's process (--isolation thread): what it prints is on"
            " the process's stdout and stderr, not in this log or in errors"
        )


def in_thread(options: Options, _reactor: Any) -> RuntimeHost:
    """Open the library in this process. A crash of the library then crashes the daemon.

    :raises LibraryError: it cannot be used.
    """
    _choose_llama(options)
    os.environ.update(without_prompts(os.environ, options["log-prompts"]))
    runtime = open_runtime(
        options["library"],
        options["abi"],
        native_async=options["native-async"],
        files=Files(options["model-dir"], log_line, cache_dir=options["cache-dir"]),
    )
    return RuntimeHost(runtime, LocalLibrary(), lambda: True)  # the caller is in the same process


def in_process(options: Options, reactor: Any) -> RuntimeHost:
    """Examine the library in another process, and keep a child process that opens it.

    :raises LibraryError: it cannot be used.
    """
    _choose_llama(options)
    _check_processors(options["child-cpus"] or ())
    findings = probe(options["library"], options["abi"], os.environ)
    host, host_reason = _host(options["runtime-host"])
    config = ChildConfig(
        library=findings.version.library,
        abi=findings.version.abi,
        host=host,
        host_reason=host_reason,
        cpus=options["child-cpus"] or (),
        oom_score_adj=options["child-oom-score"],
        log_prompts=options["log-prompts"],
    )
    version = attrs.evolve(findings.version, host=host, host_reason=host_reason)
    findings = attrs.evolve(findings, version=version)
    supervisor = Supervisor(reactor, config)
    in_reactor = partial(blockingCallFromThread, reactor)
    files = partial(Files, options["model-dir"], cache_dir=options["cache-dir"])
    native_async = options["native-async"]
    runtime = ProcessRuntime(findings, supervisor, in_reactor, files, native_async=native_async)
    return RuntimeHost(runtime, supervisor, supervisor.is_alive)


def _host(wanted: str) -> tuple[str, str | None]:
    """Return the program of the runtime's process, and why it is not the one in C.

    :param wanted: ``c``, ``python``, or ``auto``: the one in C where it can run.
    :raises StartupError: the one in C is asked for, and cannot run.
    """
    if wanted == "python":
        return wanted, None
    problem = c_host_problem()
    if problem is not None and wanted == "c":
        raise StartupError(
            f"--runtime-host c: the program in C {problem}, or use --runtime-host auto."
        )
    return ("c", None) if problem is None else ("python", problem)


def _choose_llama(options: Options) -> None:
    """Choose llama.cpp's library and its devices, before this or another process opens it.

    :raises LibraryError: the named file does not exist.
    """
    if options["llama"] is not None or options["library"] == LLAMA:
        libllama.choose(options["llama"])
    libllama.place(options["llama-devices"], options["llama-gpu-layers"])


def _check_processors(wanted: Sequence[int]) -> None:
    """Refuse processors that this machine lacks; the kernel would silently use the others.

    :raises StartupError: there are such processors; the text names those of the machine.
    """
    try:
        online = processors(ONLINE.read_text())
    except (OSError, ValueError):
        online = tuple(range(os.cpu_count() or 1))
    if missing := sorted(set(wanted).difference(online)):
        raise StartupError(
            f"--child-cpus names processors that this machine does not have: {missing}; it has"
            f" {min(online)}-{max(online)}."
        )


#: The values of ``--isolation``.
RUNTIME_HOSTS: Mapping[str, Callable[[Options, Any], RuntimeHost]] = {
    "process": in_process,
    "thread": in_thread,
}
