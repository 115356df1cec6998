"""``rkllm.get_kv_cache_size``."""

from rkllm_twisted.methods._function import Function

get_kv_cache_size = Function(
    name="rkllm.get_kv_cache_size",
    function="rkllm_get_kv_cache_size",
    summary="How many tokens the cache holds, a number per batch row.",
)
