"""Room for as many connections as the daemon is to take: each needs a file descriptor."""

from __future__ import annotations

import resource

from rkllm_twisted.errors import SocketError

#: For the library, which opens many files, the log, and what else a process has open.
SPARE = 256


def descriptors_for(clients: int) -> int:
    """How many descriptors it takes to serve so many, and to tell as many that there is no room."""
    return 2 * clients + SPARE


def raise_limit(needed: int) -> None:
    """See to it that the process may have so many descriptors.

    The limit is raised no further than that: there are programs that close every possible one.

    :raises SocketError: the system's hard limit forbids it, and what to do.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise SocketError(
            f"So many clients need {needed} file descriptors and this process may have {hard}:"
            " lower --max-clients, or raise the limit (ulimit -Hn, or systemd's LimitNOFILE)."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
