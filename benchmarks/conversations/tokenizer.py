"""Write the ``tokenizer.json`` that a GGUF file of GPT-2's kind has inside.

With it beside the model, the daemon counts a conversation's tokens and feeds them itself
(``docs/chat.md``, tier ``tokens``).
"""

from __future__ import annotations

import json
from pathlib import Path

from gguf import GGUFReader
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

#: llama.cpp's kind of a token that is a mark.
CONTROL = 3


def write_tokenizer(model: Path, folder: Path) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json`` of a model into a folder."""
    fields = GGUFReader(model).fields
    tokens, merges, kinds, end = (
        fields[f"tokenizer.ggml.{name}"].contents()
        for name in ("tokens", "merges", "token_type", "eos_token_id")
    )
    pairs = [tuple(merge.split(" ")) for merge in merges]
    tokenizer = Tokenizer(models.BPE({text: at for at, text in enumerate(tokens)}, pairs))
    digits = pre_tokenizers.Digits(individual_digits=True)
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, letters])  # as "smollm" has it
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [text for text, kind in zip(tokens, kinds, strict=True) if kind == CONTROL]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"eos_token": tokens[end]}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
