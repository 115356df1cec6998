"""The daemon's own RPC methods, but for those of :mod:`rkllm_twisted.rpc.functions`."""

from rkllm_twisted.methods.abort import abort
from rkllm_twisted.methods.cancel import cancel
from rkllm_twisted.methods.chat_complete import chat_complete
from rkllm_twisted.methods.chat_render import chat_render
from rkllm_twisted.methods.configure import configure
from rkllm_twisted.methods.discover import discover
from rkllm_twisted.methods.embeddings_create import embeddings_create
from rkllm_twisted.methods.get_constants import get_constants
from rkllm_twisted.methods.is_running import is_running
from rkllm_twisted.methods.list_methods import list_methods
from rkllm_twisted.methods.method_help import method_help
from rkllm_twisted.methods.method_signature import method_signature
from rkllm_twisted.methods.models_list import models_list
from rkllm_twisted.methods.models_load import models_load
from rkllm_twisted.methods.models_show import models_show
from rkllm_twisted.methods.models_unload import models_unload
from rkllm_twisted.methods.pause import pause
from rkllm_twisted.methods.ping import ping
from rkllm_twisted.methods.rerank_score import rerank_score
from rkllm_twisted.methods.run import run
from rkllm_twisted.methods.run_async import run_async
from rkllm_twisted.methods.sequence import sequence
from rkllm_twisted.methods.status import status
from rkllm_twisted.methods.text_complete import text_complete
from rkllm_twisted.methods.text_structured import text_structured
from rkllm_twisted.methods.tokens_count import tokens_count
from rkllm_twisted.methods.tokens_decode import tokens_decode
from rkllm_twisted.methods.tokens_encode import tokens_encode
from rkllm_twisted.methods.version import version
from rkllm_twisted.methods.vision_encode import vision_encode
from rkllm_twisted.methods.vision_load import vision_load
from rkllm_twisted.methods.vision_unload import vision_unload

__all__ = [
    "abort",
    "cancel",
    "chat_complete",
    "chat_render",
    "configure",
    "discover",
    "embeddings_create",
    "get_constants",
    "is_running",
    "list_methods",
    "method_help",
    "method_signature",
    "models_list",
    "models_load",
    "models_show",
    "models_unload",
    "pause",
    "ping",
    "rerank_score",
    "run",
    "run_async",
    "sequence",
    "status",
    "text_complete",
    "text_structured",
    "tokens_count",
    "tokens_decode",
    "tokens_encode",
    "version",
    "vision_encode",
    "vision_load",
    "vision_unload",
]
