"""The daemon finds the method here."""

from rkllm_confidence.answer import answer

__all__ = ["answer"]
