"""``rkllm.set_function_tools``."""

from rkllm_twisted.methods._function import Function

set_function_tools = Function(
    name="rkllm.set_function_tools",
    function="rkllm_set_function_tools",
    summary="Tell the model of tools: a JSON string, or the JSON itself.",
)
