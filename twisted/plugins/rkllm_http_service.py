"""Makes ``twistd rkllm-http`` known; the module it names is imported only when it is chosen."""

from twisted.application.service import ServiceMaker

rkllm_http = ServiceMaker(
    "rkllm-http",
    "rkllm_twisted.http_service.twistd",
    "Serves rkllm daemons over HTTP, as programs for OpenAI, Ollama and Anthropic expect it.",
    "rkllm-http",
)
