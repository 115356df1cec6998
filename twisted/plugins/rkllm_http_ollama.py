"""The HTTP service's routes of Ollama's API."""

from rkllm_twisted.http.routes.ollama_chat import ollama_chat
from rkllm_twisted.http.routes.ollama_embed import ollama_embed
from rkllm_twisted.http.routes.ollama_embeddings import ollama_embeddings
from rkllm_twisted.http.routes.ollama_generate import ollama_generate
from rkllm_twisted.http.routes.ollama_ps import ollama_ps
from rkllm_twisted.http.routes.ollama_pull import ollama_pull
from rkllm_twisted.http.routes.ollama_refused import (
    ollama_blobs,
    ollama_copy,
    ollama_create,
    ollama_delete,
    ollama_me,
    ollama_push,
    ollama_signout,
)
from rkllm_twisted.http.routes.ollama_show import ollama_show
from rkllm_twisted.http.routes.ollama_tags import ollama_tags
from rkllm_twisted.http.routes.ollama_version import ollama_version

__all__ = [
    "ollama_blobs",
    "ollama_chat",
    "ollama_copy",
    "ollama_create",
    "ollama_delete",
    "ollama_embed",
    "ollama_embeddings",
    "ollama_generate",
    "ollama_me",
    "ollama_ps",
    "ollama_pull",
    "ollama_push",
    "ollama_show",
    "ollama_signout",
    "ollama_tags",
    "ollama_version",
]
