"""The daemon's own RPC methods."""

from rkllm_twisted.methods.abort import abort
from rkllm_twisted.methods.cancel import cancel
from rkllm_twisted.methods.configure import configure
from rkllm_twisted.methods.create_default_param import create_default_param
from rkllm_twisted.methods.destroy import destroy
from rkllm_twisted.methods.get_constants import get_constants
from rkllm_twisted.methods.init import init
from rkllm_twisted.methods.is_running import is_running
from rkllm_twisted.methods.ping import ping
from rkllm_twisted.methods.run import run
from rkllm_twisted.methods.run_async import run_async
from rkllm_twisted.methods.status import status
from rkllm_twisted.methods.version import version

__all__ = [
    "abort",
    "cancel",
    "configure",
    "create_default_param",
    "destroy",
    "get_constants",
    "init",
    "is_running",
    "ping",
    "run",
    "run_async",
    "status",
    "version",
]
