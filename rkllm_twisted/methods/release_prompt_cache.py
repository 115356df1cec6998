"""``rkllm.release_prompt_cache``."""

from rkllm_twisted.methods._function import Function

release_prompt_cache = Function(
    name="rkllm.release_prompt_cache",
    function="rkllm_release_prompt_cache",
    summary="Release the prompt cache that was loaded.",
)
