"""The fields of rkllm.h's structures, of every release, as types for the clients' parameters.

Made by docs/generate.py from rkllm-abi.json; do not edit. A field that is None is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from rkllm_twisted.values import FloatArray

    #: Floats as numbers, as rows of numbers, as bytes with a shape, or as base64.
    Floats = FloatArray | Sequence[float] | Sequence[Sequence[float]] | Mapping[str, Any]


class RKLLMExtendParam(TypedDict, total=False):
    """RKLLMExtendParam of rkllm.h."""

    base_domain_id: int | None
    embed_flash: int | None
    enabled_cpus_num: int | None
    enabled_cpus_mask: int | None
    n_batch: int | None
    use_cross_attn: int | None


class RKLLMParamFields(TypedDict, total=False):
    """RKLLMParam of rkllm.h, without what a client's function has as a parameter."""

    max_context_len: int | None
    max_new_tokens: int | None
    top_k: int | None
    top_p: float | None
    temperature: float | None
    repeat_penalty: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    mirostat: int | None
    mirostat_tau: float | None
    mirostat_eta: float | None
    skip_special_token: bool | None
    is_async: bool | None
    img_start: str | None
    img_end: str | None
    img_content: str | None
    extend_param: RKLLMExtendParam | None
    n_keep: int | None
    ignore_eos_token: bool | None


class RKLLMParam(RKLLMParamFields, total=False):
    """RKLLMParam of rkllm.h."""

    model_path: str


class RKLLMEmbedInput(TypedDict, total=False):
    """RKLLMEmbedInput of rkllm.h."""

    embed: Floats | None
    n_tokens: int | None


class RKLLMTokenInput(TypedDict, total=False):
    """RKLLMTokenInput of rkllm.h."""

    input_ids: Sequence[int] | None
    n_tokens: int | None


class RKLLMMultiModelInput(TypedDict, total=False):
    """RKLLMMultiModelInput of rkllm.h."""

    prompt: str | None
    image_embed: Floats | None
    n_image_tokens: int | None
    n_image: int | None
    image_width: int | None
    image_height: int | None


class RKLLMInput(TypedDict, total=False):
    """RKLLMInput of rkllm.h."""

    input_type: int | str | None
    prompt_input: str | None
    embed_input: RKLLMEmbedInput | None
    token_input: RKLLMTokenInput | None
    multimodal_input: RKLLMMultiModelInput | RKLLMMultiModalInput | None
    role: str | None
    enable_thinking: bool | None


class RKLLMLoraParam(TypedDict, total=False):
    """RKLLMLoraParam of rkllm.h."""

    lora_adapter_name: str | None


class RKLLMPromptCacheParam(TypedDict, total=False):
    """RKLLMPromptCacheParam of rkllm.h."""

    save_prompt_cache: int | None
    prompt_cache_path: str | None


class RKLLMInferParam(TypedDict, total=False):
    """RKLLMInferParam of rkllm.h."""

    mode: int | str | None
    lora_params: RKLLMLoraParam | None
    prompt_cache_params: RKLLMPromptCacheParam | None
    keep_history: int | None
    sampling_params: RKLLMSamplingParam | None
    max_new_tokens: int | None


class RKLLMLoraAdapter(TypedDict, total=False):
    """RKLLMLoraAdapter of rkllm.h."""

    lora_adapter_path: str | None
    lora_adapter_name: str | None
    scale: float | None


class RKLLMCrossAttnParam(TypedDict, total=False):
    """RKLLMCrossAttnParam of rkllm.h."""

    encoder_k_cache: Floats | None
    encoder_v_cache: Floats | None
    encoder_mask: Floats | None
    encoder_pos: Sequence[int] | None
    num_tokens: int | None


class RKLLMMultiModalInputImage(TypedDict, total=False):
    """RKLLMMultiModalInputImage of rkllm.h."""

    image_embed: Floats | None
    n_image_tokens: int | None
    n_image: int | None
    image_start: str | None
    image_end: str | None
    image_content: str | None
    image_width: int | None
    image_height: int | None


class RKLLMMultiModalInputVideo(TypedDict, total=False):
    """RKLLMMultiModalInputVideo of rkllm.h."""

    video_embed: Floats | None
    n_frame_tokens: int | None
    n_frame_per_video: int | None
    n_video: int | None
    video_start: str | None
    video_end: str | None
    video_content: str | None
    frame_width: int | None
    frame_height: int | None


class RKLLMMultiModalInput(TypedDict, total=False):
    """RKLLMMultiModalInput of rkllm.h."""

    prompt: str | None
    image: RKLLMMultiModalInputImage | None
    video: RKLLMMultiModalInputVideo | None


class RKLLMSamplingParam(TypedDict, total=False):
    """RKLLMSamplingParam of rkllm.h."""

    top_k: int | None
    top_p: float | None
    temperature: float | None
    repeat_penalty: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    mirostat: int | None
    mirostat_tau: float | None
    mirostat_eta: float | None
