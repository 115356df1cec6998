"""The chat page, and what it shows of the daemons and the board."""

from rkllm_twisted.http.routes.page import page
from rkllm_twisted.http.routes.root import root
from rkllm_twisted.http.routes.status import status

__all__ = ["page", "root", "status"]
