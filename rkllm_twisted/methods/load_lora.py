"""``rkllm.load_lora``."""

from rkllm_twisted.methods._function import AdministrativeFunction

load_lora = AdministrativeFunction(
    name="rkllm.load_lora",
    function="rkllm_load_lora",
    summary="Load a LoRA adapter; runs choose it by name with lora_params.",
)
