"""``twistd rkllm``'s service, for applications that embed the daemon.

``makeService(options)`` opens the library, so that a wrong one is found before anything listens,
and returns a service that has not started.
"""

from rkllm_twisted.daemon.assembly import makeService
from rkllm_twisted.daemon.monotonic import use_monotonic_time
from rkllm_twisted.daemon.options import Options

__all__ = ["Options", "makeService", "use_monotonic_time"]
