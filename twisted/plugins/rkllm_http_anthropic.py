"""The HTTP service's routes of Anthropic's API."""

from rkllm_twisted.http.routes.count_tokens import count_tokens
from rkllm_twisted.http.routes.messages import messages

__all__ = ["count_tokens", "messages"]
