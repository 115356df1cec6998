"""Small tokenizers of the kinds that models have, trained here."""

from __future__ import annotations

import json
from functools import cache

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

from rkllm_twisted.chat.vocabulary import Vocabulary

TEXTS = [
    "You are a helpful assistant. system user assistant model tool ipython",
    "What is a generator? A function that returns an iterator.",
    "The quick brown fox jumps over the lazy dog, 0123456789 times!",
    "Grüße aus Köln. Ça va? Привет, мир. 你好，世界。",
] * 4
CHATML = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
#: As in Qwen3: control tokens, and yet not "special".
QWEN3 = ["<think>", "</think>", "<tool_call>", "</tool_call>"]


def _byte_level() -> Tokenizer:
    """Qwen's and Llama 3's kind."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.add_special_tokens(CHATML)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in QWEN3])
    return tokenizer


def _first_space() -> Tokenizer:
    """Mistral's kind: a space in front of the first word of all, bytes for what is unknown."""
    control = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]
    octets = [f"<0x{number:02X}>" for number in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=[*control, *octets], show_progress=False
    )
    tokenizer.train_from_iterator([text.split(" 你")[0] for text in TEXTS], trainer)
    settings = json.loads(tokenizer.to_str())
    settings["added_tokens"] = [t for t in settings["added_tokens"] if t["content"] in control]
    return Tokenizer.from_str(json.dumps(settings))


def _unigram() -> Tokenizer:
    """A kind whose vocabulary holds the control tokens' own texts as words."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Replace("▁", " ")
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=["<unk>", *CHATML], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def _swallows_space() -> Tokenizer:
    """Phi-3's kind: control tokens that take the white space behind them."""
    tokenizer = _byte_level()
    tokenizer.add_special_tokens([AddedToken("<|end|>", rstrip=True, special=True)])
    return tokenizer


def _newlines() -> Tokenizer:
    """Gemma's kind: added tokens of white space, which are no control tokens."""
    tokenizer = _byte_level()
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False)])
    return tokenizer


MADE = {
    "byte_level": _byte_level,
    "first_space": _first_space,
    "unigram": _unigram,
    "swallows_space": _swallows_space,
    "newlines": _newlines,
}
KINDS = tuple(MADE)


@cache
def tokenizer(kind: str) -> Tokenizer:
    """Return the library's own view of a kind."""
    return MADE[kind]()


@cache
def vocabulary(kind: str) -> Vocabulary:
    """Return this package's view of a kind."""
    return Vocabulary(tokenizer(kind).to_str())
