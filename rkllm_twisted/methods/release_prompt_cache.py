"""``rkllm.release_prompt_cache``."""

from rkllm_twisted.methods._function import AdministrativeFunction

release_prompt_cache = AdministrativeFunction(
    name="rkllm.release_prompt_cache",
    function="rkllm_release_prompt_cache",
    summary="Release the prompt cache that was loaded.",
)
