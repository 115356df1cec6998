"""Where the runtime lives: in a child process, or in a thread of the daemon's own process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.threads import blockingCallFromThread
from twisted.logger import Logger

from rkllm_twisted.daemon.options import Options
from rkllm_twisted.interfaces import IRuntime
from rkllm_twisted.isolation.child import ChildConfig
from rkllm_twisted.isolation.process_runtime import ProcessRuntime
from rkllm_twisted.isolation.supervisor import Supervisor
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.runtime.probe import probe
from rkllm_twisted.runtime.runtime import open_runtime


@attrs.frozen
class RuntimeHost:
    """A runtime, and the service that keeps its place.

    :param is_fresh: does the process that it lives in move?
    """

    runtime: IRuntime
    service: Service
    is_fresh: Callable[[], bool]


def in_thread(options: Options, _reactor: Any) -> RuntimeHost:
    """Open the library here. A crash of it is a crash of the daemon.

    :raises LibraryError: it cannot be used.
    """
    note = partial(Logger().info, "runtime: {line}")
    runtime = open_runtime(
        options["library"],
        options["abi"],
        native_async=options["native-async"],
        files=Files(options["model-dir"], lambda line: note(line=line)),
    )
    return RuntimeHost(runtime, Service(), lambda: True)  # who asks has moved


def in_process(options: Options, reactor: Any) -> RuntimeHost:
    """Look at the library in another process, and keep a child that opens it.

    :raises LibraryError: it cannot be used.
    """
    findings = probe(options["library"], options["abi"], os.environ)
    setup = ChildConfig(
        library=findings.version.library,
        abi=findings.version.abi,
        native_async=options["native-async"],
        cpus=options["child-cpus"] or (),
        oom_score_adj=options["child-oom-score"],
        model_dirs=options["model-dir"],
    )
    supervisor = Supervisor(reactor, setup)
    in_reactor = partial(blockingCallFromThread, reactor)
    files = Files(options["model-dir"])
    runtime = ProcessRuntime(findings, supervisor, in_reactor, files)
    return RuntimeHost(runtime, supervisor, supervisor.is_fresh)


#: What ``--isolation`` may be.
RUNTIME_HOSTS: Mapping[str, Callable[[Options, Any], RuntimeHost]] = {
    "process": in_process,
    "thread": in_thread,
}
