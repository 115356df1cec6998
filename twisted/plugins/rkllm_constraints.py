"""The engine of constraints that comes with the extra ``[structured]``."""

from rkllm_twisted.structured.llguidance_engine import llguidance_engine

__all__ = ["llguidance_engine"]
