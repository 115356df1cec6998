"""The daemon's own RPC methods."""

from rkllm_twisted.methods.abort import abort
from rkllm_twisted.methods.cancel import cancel
from rkllm_twisted.methods.chat_complete import chat_complete
from rkllm_twisted.methods.clear_kv_cache import clear_kv_cache
from rkllm_twisted.methods.configure import configure
from rkllm_twisted.methods.create_default_param import create_default_param
from rkllm_twisted.methods.destroy import destroy
from rkllm_twisted.methods.discover import discover
from rkllm_twisted.methods.get_constants import get_constants
from rkllm_twisted.methods.get_kv_cache_size import get_kv_cache_size
from rkllm_twisted.methods.init import init
from rkllm_twisted.methods.is_running import is_running
from rkllm_twisted.methods.list_methods import list_methods
from rkllm_twisted.methods.load_lora import load_lora
from rkllm_twisted.methods.load_prompt_cache import load_prompt_cache
from rkllm_twisted.methods.method_help import method_help
from rkllm_twisted.methods.method_signature import method_signature
from rkllm_twisted.methods.models_list import models_list
from rkllm_twisted.methods.models_load import models_load
from rkllm_twisted.methods.models_show import models_show
from rkllm_twisted.methods.models_unload import models_unload
from rkllm_twisted.methods.pause import pause
from rkllm_twisted.methods.ping import ping
from rkllm_twisted.methods.release_prompt_cache import release_prompt_cache
from rkllm_twisted.methods.run import run
from rkllm_twisted.methods.run_async import run_async
from rkllm_twisted.methods.set_chat_template import set_chat_template
from rkllm_twisted.methods.set_cross_attn_params import set_cross_attn_params
from rkllm_twisted.methods.set_function_tools import set_function_tools
from rkllm_twisted.methods.status import status
from rkllm_twisted.methods.version import version

__all__ = [
    "abort",
    "cancel",
    "chat_complete",
    "clear_kv_cache",
    "configure",
    "create_default_param",
    "destroy",
    "discover",
    "get_constants",
    "get_kv_cache_size",
    "init",
    "is_running",
    "list_methods",
    "load_lora",
    "load_prompt_cache",
    "method_help",
    "method_signature",
    "models_list",
    "models_load",
    "models_show",
    "models_unload",
    "pause",
    "ping",
    "release_prompt_cache",
    "run",
    "run_async",
    "set_chat_template",
    "set_cross_attn_params",
    "set_function_tools",
    "status",
    "version",
]
