"""``rkllm.createDefaultParam``."""

from rkllm_twisted.methods._function import Function

create_default_param = Function(
    name="rkllm.createDefaultParam",
    function="rkllm_createDefaultParam",
    summary="The RKLLMParam with the runtime's own defaults; it needs no model.",
)
