"""``rkllm.destroy``."""

from rkllm_twisted.methods._function import AdministrativeFunction

destroy = AdministrativeFunction(
    name="rkllm.destroy",
    function="rkllm_destroy",
    summary="Unload the model, once the runs that were queued before have ended.",
)
