"""``rkllm.clear_kv_cache``."""

from rkllm_twisted.methods._function import AdministrativeFunction

clear_kv_cache = AdministrativeFunction(
    name="rkllm.clear_kv_cache",
    function="rkllm_clear_kv_cache",
    summary="Clear the model's cache: whole, all but the system prompt, or ranges of a paused run.",
)
