"""Makes ``twistd rkllm-board`` and ``twistd rkllm-fleet`` known; they are imported when chosen."""

from twisted.application.service import ServiceMaker

rkllm_board = ServiceMaker(
    "rkllm-board",
    "rkllm_twisted.fleet_service.twistd_board",
    "Joins the rkllm daemon of this board to a fleet.",
    "rkllm-board",
)
rkllm_fleet = ServiceMaker(
    "rkllm-fleet",
    "rkllm_twisted.fleet_service.twistd_front",
    "Serves the boards of a fleet on one socket, as a daemon serves its NPU.",
    "rkllm-fleet",
)
