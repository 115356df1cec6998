"""Makes ``twistd rkllm`` known; the module it names is imported only when it is chosen."""

from twisted.application.service import ServiceMaker

rkllm = ServiceMaker(
    "rkllm",
    "rkllm_twisted.daemon.twistd",
    "One NPU, many programs: Rockchip's RKLLM as JSON-RPC on a UNIX socket.",
    "rkllm",
)
