"""What the program that calls C is told at its start."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import attrs

from rkllm_twisted.abi.release import releases
from rkllm_twisted.abi.result_copy import ResultOffsets
from rkllm_twisted.isolation.c_host import C_HOST
from rkllm_twisted.isolation.frames import FRAMES_VERSION
from rkllm_twisted.runtime.library import without_prompts

#: The program's descriptors: its end of the socket pair, and of the pipe for its heartbeat.
CONNECTION_FD, HEARTBEAT_FD = 3, 4
HEARTBEAT_INTERVAL_S = 1.0


@attrs.frozen
class ChildConfig:
    """The settings of the child, which stand on its command line.

    :param library: the path of the library.
    :param abi: the release of its layout.
    :param descriptors: the limit of open files; the runtime uses one for each NPU buffer.
    :param cpus: the processors to run on; empty: all.
    :param oom_score_adj: see proc(5); None: the daemon's own.
    :param log_prompts: may the runtime print prompts?
    :param host: ``c`` or ``python``.
    :param host_reason: why it is not the one in C, see
        :func:`~rkllm_twisted.isolation.c_host.c_host_problem`; None: it is, or was not asked for.
    """

    library: str
    abi: str
    descriptors: int = 102400
    cpus: tuple[int, ...] = ()
    oom_score_adj: int | None = None
    log_prompts: bool = False
    host: str = "c"
    host_reason: str | None = None

    @property
    def offsets(self) -> ResultOffsets:
        """See :class:`ResultOffsets`."""
        return ResultOffsets.of(releases()[self.abi])

    def command(self) -> list[str]:
        """Return the program and its arguments.

        They are the library; the version of the frames, :class:`ResultOffsets`, whether the
        callback returns a number, whether the library keeps arrays; the limit of open files; the
        processors; the OOM score.
        """
        release = releases()[self.abi]
        offsets = attrs.astuple(self.offsets)
        layout = [FRAMES_VERSION, *offsets, release.can_pause, release.keeps_arrays]
        words = [
            self.library,
            ",".join(str(int(each)) for each in layout),
            str(self.descriptors),
            ",".join(map(str, self.cpus)),
            "" if self.oom_score_adj is None else str(self.oom_score_adj),
        ]
        if self.host == "c":
            return [str(C_HOST), *words]
        return [sys.executable, "-m", "rkllm_twisted.isolation.host", *words]

    def environment(self, own: Mapping[str, str]) -> Mapping[str, str]:
        """Return the child's environment.

        :param own: the daemon's.
        """
        # twistd may have put its working directory on our path.
        path = os.pathsep.join(filter(None, sys.path))
        return without_prompts({**own, "PYTHONPATH": path}, self.log_prompts)
