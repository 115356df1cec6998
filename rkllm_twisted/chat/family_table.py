"""The table of the model families that are known by name.

A model of another family needs its own template. No other code of the package depends on a model's
name.
"""

from __future__ import annotations

from functools import partial

from rkllm_twisted.chat.families import Family, ImageMarks, InfillMarks, ReasoningMarks, Wrap

#: A family that reads ChatML; its row says what else it has.
_chatml = partial(
    Family,
    system=Wrap("<|im_start|>system\n", "<|im_end|>\n"),
    user=Wrap("<|im_start|>user\n", "<|im_end|>\n"),
    assistant=Wrap("<|im_start|>assistant\n", "<|im_end|>\n"),
    end_tokens=("<|im_end|>", "<|endoftext|>"),
)
#: Qwen's own template shows a tool's result as a user's message between these texts.
_HERMES_RESULT = Wrap("<|im_start|>user\n<tool_response>\n", "\n</tool_response><|im_end|>\n")
_QWEN_INFILL = InfillMarks(
    *("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    models=("qwen2.5-coder", "qwen3-coder", "codeqwen"),
)
_QWEN_IMAGE = ImageMarks("<|vision_start|>", "<|image_pad|>", "<|vision_end|>")
_INTERN_IMAGE = ImageMarks("<img>", "<IMG_CONTEXT>", "</img>")

FAMILIES: tuple[Family, ...] = (
    _chatml(
        "chatml",
        models=("smollm2", "minicpm3", "minicpm4", "telechat2"),
        source="openai/openai-python release v0.27, chatml.md; SmolLM2's tokenizer_config.json",
    ),
    _chatml(
        "qwen2",
        models=("qwen", "qwen1.5", "qwen2", "qwen2.5"),
        tool=_HERMES_RESULT,
        tool_format="hermes",
        infill=_QWEN_INFILL,
        image=_QWEN_IMAGE,
        source="Qwen2.5's tokenizer_config.json; Qwen2.5-Coder's README, Fill in the middle",
    ),
    _chatml(
        "qwen3",
        models=("qwen3", "qwq"),
        tool=_HERMES_RESULT,
        reasoning=ReasoningMarks(),
        tool_format="hermes",
        infill=_QWEN_INFILL,
        image=_QWEN_IMAGE,
        image_outputs=(1, 4),  # Qwen3-VL of rkllm-toolkit 1.2.3 and later: deepstack
        source="Qwen3's and Qwen3-VL's tokenizer_config.json",
    ),
    Family(
        "llama3",
        models=("llama-3", "llama3", "meta-llama-3"),
        begin="<|begin_of_text|>",
        system=Wrap("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"),
        user=Wrap("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),
        assistant=Wrap("<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"),
        tool=Wrap("<|start_header_id|>ipython<|end_header_id|>\n\n", "<|eot_id|>"),
        end_tokens=("<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"),
        tool_format="llama3",
        source="Meta, Llama 3.1 model card and prompt formats",
    ),
    Family(
        "gemma",
        models=("gemma", "codegemma"),
        begin="<bos>",
        user=Wrap("<start_of_turn>user\n", "<end_of_turn>\n"),
        assistant=Wrap("<start_of_turn>model\n", "<end_of_turn>\n"),
        end_tokens=("<end_of_turn>", "<eos>"),
        infill=InfillMarks(
            "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", models=("codegemma",)
        ),
        image=ImageMarks("<start_of_image>", "<image_soft_token>", "<end_of_image>"),
        alternates=True,
        stretches_images=True,
        source="Google, Gemma formatting and system instructions; CodeGemma prompt structure",
    ),
    Family(
        "phi3",
        models=("phi-3", "phi3"),
        system=Wrap("<|system|>\n", "<|end|>\n"),
        user=Wrap("<|user|>\n", "<|end|>\n"),
        assistant=Wrap("<|assistant|>\n", "<|end|>\n"),
        end_tokens=("<|end|>", "<|endoftext|>"),
        tool_format="phi",
        source="Microsoft, Phi-3-mini-4k-instruct model card, Chat Format",
    ),
    Family(
        "phi4-mini",
        models=("phi-4-mini", "phi4-mini"),
        system=Wrap("<|system|>", "<|end|>"),
        user=Wrap("<|user|>", "<|end|>"),
        assistant=Wrap("<|assistant|>", "<|end|>"),
        tool=Wrap("<|tool_response|>", "<|end|>"),
        end_tokens=("<|end|>", "<|endoftext|>"),
        tool_format="phi",
        source="Microsoft, Phi-4-mini-instruct model card, Input Formats",
    ),
    Family(
        "deepseek-r1",
        models=("deepseek-r1", "deepseek-llm-r1"),
        begin="<｜begin▁of▁sentence｜>",
        system=Wrap(""),
        user=Wrap("<｜User｜>"),
        assistant=Wrap("<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
        tool=Wrap(
            "<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>",
            "<｜tool▁output▁end｜><｜tool▁outputs▁end｜>",
        ),
        end_tokens=("<｜end▁of▁sentence｜>",),
        reasoning=ReasoningMarks(opened=True),
        tool_format="deepseek",
        source="DeepSeek-R1-Distill-Qwen's tokenizer_config.json (February 2025: <think> in it)",
    ),
    Family(
        "deepseek-coder",
        models=("deepseek-coder",),
        begin="<｜begin▁of▁sentence｜>",
        system=Wrap(""),
        user=Wrap("User: ", "\n\n"),
        assistant=Wrap("Assistant: ", "<｜end▁of▁sentence｜>"),
        end_tokens=("<｜end▁of▁sentence｜>",),
        infill=InfillMarks("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
        source="DeepSeek-Coder-V2-Lite's model card, Code Insertion and Chat Completion",
    ),
    Family(
        "mistral",
        models=("mistral", "ministral", "mixtral", "codestral"),
        begin="<s>",
        user=Wrap("[INST] ", "[/INST]"),
        assistant=Wrap("", "</s>"),
        tool=Wrap("[TOOL_RESULTS] ", "[/TOOL_RESULTS]"),
        end_tokens=("</s>",),
        tool_format="mistral",
        infill=InfillMarks("[PREFIX]", "[SUFFIX]", suffix_first=True, models=("codestral",)),
        alternates=True,
        source="mistralai/cookbook, Tokenization and chat templates (v3); mistral-common, FIM",
    ),
    _chatml(
        "internlm2",
        models=("internlm2", "internlm3", "internvl"),
        begin="<s>",
        tool=Wrap("<|im_start|>environment name=<|plugin|>\n", "<|im_end|>\n"),
        end_tokens=("<|im_end|>", "</s>"),
        tool_format="internlm",
        image=_INTERN_IMAGE,
        source="InternLM/InternLM, chat/chat_format.md; InternVL2's conversation.py",
    ),
    _chatml(
        "internvl3",  # of Qwen2.5 and Qwen3: nothing comes before the first message
        models=("internvl3",),
        image=_INTERN_IMAGE,
        source="InternVL3's conversation.py, template internvl2_5",
    ),
    _chatml(
        "minicpm-v",
        models=("minicpm-v-2-6", "minicpm-v-2.6", "minicpmv2.6", "minicpm-v-4", "minicpm-o"),
        image=ImageMarks("<image>", "<unk>", "</image>\n"),
        source="rknn-llm 1.1.0, rkllm_api_demo/src/multimodel_demo.cpp; MiniCPM-V 2.6's tokenizer",
    ),
    _chatml(
        # Its own texts are others. A port for RK3588 sends these; no source has tried its own.
        "smolvlm",
        models=("smolvlm",),
        end_tokens=("<|im_end|>", "<end_of_utterance>"),
        image=_QWEN_IMAGE,
        source="thanhtantran/SmolVLM2-2B-NPU, src/RK35llm.cpp, for RK3588",
    ),
    Family(
        "deepseek-ocr",
        models=("deepseek-ocr", "deepseekocr"),
        begin="<｜begin▁of▁sentence｜>",
        user=Wrap(""),
        assistant=Wrap("", "<｜end▁of▁sentence｜>"),
        end_tokens=("<｜end▁of▁sentence｜>",),
        image=ImageMarks("", "<｜▁pad▁｜>", ""),
        alternates=True,
        source="rknn-llm 1.3.0, README (DeepSeekOCR); DeepSeek-OCR's conversation.py, plain",
    ),
)
