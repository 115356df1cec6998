"""The HTTP service's own routes, but for those of Ollama's and Anthropic's API."""

from rkllm_twisted.http.routes.apply_template import apply_template
from rkllm_twisted.http.routes.chat_completions import chat_completions
from rkllm_twisted.http.routes.completions import completions
from rkllm_twisted.http.routes.detokenize import detokenize
from rkllm_twisted.http.routes.embeddings import embeddings
from rkllm_twisted.http.routes.health import health
from rkllm_twisted.http.routes.model import model
from rkllm_twisted.http.routes.models import models
from rkllm_twisted.http.routes.openapi import openapi
from rkllm_twisted.http.routes.ready import ready
from rkllm_twisted.http.routes.rerank import rerank
from rkllm_twisted.http.routes.responses import responses
from rkllm_twisted.http.routes.tokenize import tokenize

__all__ = [
    "apply_template",
    "chat_completions",
    "completions",
    "detokenize",
    "embeddings",
    "health",
    "model",
    "models",
    "openapi",
    "ready",
    "rerank",
    "responses",
    "tokenize",
]
