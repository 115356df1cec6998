"""The HTTP service's own routes."""

from rkllm_twisted.http.routes.chat_completions import chat_completions
from rkllm_twisted.http.routes.health import health
from rkllm_twisted.http.routes.model import model
from rkllm_twisted.http.routes.models import models
from rkllm_twisted.http.routes.ready import ready

__all__ = ["chat_completions", "health", "model", "models", "ready"]
