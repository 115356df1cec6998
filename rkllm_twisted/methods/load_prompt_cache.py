"""``rkllm.load_prompt_cache``."""

from rkllm_twisted.methods._function import AdministrativeFunction

load_prompt_cache = AdministrativeFunction(
    name="rkllm.load_prompt_cache",
    function="rkllm_load_prompt_cache",
    summary="Load a prompt cache that a run saved.",
)
