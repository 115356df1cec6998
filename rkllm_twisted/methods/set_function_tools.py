"""``rkllm.set_function_tools``."""

from rkllm_twisted.methods._function import AdministrativeFunction

set_function_tools = AdministrativeFunction(
    name="rkllm.set_function_tools",
    function="rkllm_set_function_tools",
    summary="Tell the model of tools: a JSON string, or the JSON itself.",
)
