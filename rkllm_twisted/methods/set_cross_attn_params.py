"""``rkllm.set_cross_attn_params``."""

from rkllm_twisted.methods._function import Function

set_cross_attn_params = Function(
    name="rkllm.set_cross_attn_params",
    function="rkllm_set_cross_attn_params",
    summary="Give the caches of an encoder to a model with cross attention.",
)
