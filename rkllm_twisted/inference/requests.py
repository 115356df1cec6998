"""Reads a client's parameters: from JSON values to requests. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import attrs

from rkllm_twisted.chat.messages import NO_IMAGES, read_messages, shown, wrong
from rkllm_twisted.chat.prompts import ChatRequest
from rkllm_twisted.chat.stops import read_stops
from rkllm_twisted.chat.tools import read_tools
from rkllm_twisted.inference.pictures import Pictures
from rkllm_twisted.inference.profile import ModelProfile
from rkllm_twisted.inference.traits import RuntimeTraits


def chat_request(
    params: Any, profile: ModelProfile, pictures: Pictures | None = None
) -> ChatRequest:
    """Read what the model is to be asked.

    :param params: the parameters of ``chat.complete``, or of a method that has some of them.
    :param pictures: what makes rows of images; None to refuse images.
    :raises InvalidParams: a value is wrong; the error names its place.
    """
    if profile.kind not in ("chat", "vision"):
        raise wrong("model", f"{profile.name} is no model for chat, its kind is {profile.kind}")

    def given(name: str) -> Any:
        return getattr(params, name, None)

    return ChatRequest(
        read_messages(
            params.messages,
            no_images=NO_IMAGES if pictures is None else pictures.reason_against(profile),
        ),
        read_tools(params.tools, params.tool_choice),
        read_stops(given("stop")),
        params.enable_thinking,
        given("max_new_tokens"),
        bool(given("truncate")),
        given("lora"),
        image_tokens=0 if pictures is None else pictures.tokens,
    )


@attrs.frozen
class RunLimits:
    """The settings of a run beside its input.

    :param infer: fields of RKLLMInferParam.
    :param limit: the most tokens, if the release has no field for it; None for any number.
    """

    infer: Mapping[str, object]
    limit: int | None = None


def run_limits(
    traits: RuntimeTraits,
    sampling: Mapping[str, object],
    asked: Mapping[str, object] | None,
    max_new_tokens: int | None,
    adapter: str | None,
    adapters: Collection[str],
) -> RunLimits:
    """Return the settings of a run.

    :param sampling: the model's own sampling parameters.
    :param asked: the request's sampling parameters, which go first.
    :param adapter: the name of a LoRA adapter, or None.
    :param adapters: the names of the adapters that are loaded.
    :raises InvalidParams: a value is wrong, or the release cannot do this.
    """
    infer: dict[str, object] = {}
    together = {**sampling, **(asked or {})}
    if asked and "sampling_params" not in traits.run_fields:
        raise wrong(
            "sampling",
            "this release of the runtime takes sampling parameters with rkllm.init only;"
            " leave it out",
        )
    if together and "sampling_params" in traits.run_fields:
        infer["sampling_params"] = together
    if max_new_tokens is not None and max_new_tokens < 1:
        raise wrong("max_new_tokens", "must be at least 1")
    has_limit = "max_new_tokens" in traits.run_fields
    if max_new_tokens is not None and has_limit:
        infer["max_new_tokens"] = max_new_tokens
    if adapter is not None:
        if adapter not in adapters:
            known = ", ".join(adapters) or "none"
            raise wrong("lora", f"no adapter {shown(adapter)} is loaded; loaded are: {known}")
        infer["lora_params"] = {"lora_adapter_name": adapter}
    return RunLimits(infer, None if has_limit else max_new_tokens)
