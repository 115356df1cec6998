"""``rkllm.set_chat_template``."""

from rkllm_twisted.methods._function import AdministrativeFunction

set_chat_template = AdministrativeFunction(
    name="rkllm.set_chat_template",
    function="rkllm_set_chat_template",
    summary="Set the system prompt and what stands before and after each prompt.",
)
