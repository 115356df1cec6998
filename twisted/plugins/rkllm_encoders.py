"""The kinds of vision encoder files that the daemon opens by itself."""

from rkllm_twisted.rknn.provider import rknn

__all__ = ["rknn"]
