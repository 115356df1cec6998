"""One NPU, many programs: Rockchip's RKLLM as JSON-RPC 2.0 on a UNIX socket, with Twisted."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("rkllm-twisted")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
