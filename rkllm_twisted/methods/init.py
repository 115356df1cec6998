"""``rkllm.init``."""

from rkllm_twisted.methods._function import AdministrativeFunction

init = AdministrativeFunction(
    name="rkllm.init",
    function="rkllm_init",
    summary="Load a model; one that is loaded is destroyed first. Fields left out have defaults.",
)
