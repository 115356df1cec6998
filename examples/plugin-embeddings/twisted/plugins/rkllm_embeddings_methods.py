"""The daemon finds the method here."""

from rkllm_embeddings.create import create

__all__ = ["create"]
