"""A model in the directories, with the facts that are known before it is loaded."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from rkllm_twisted.abi.release import Release
from rkllm_twisted.abi.to_c import fields_of
from rkllm_twisted.chat.families import (
    ImageMarks,
    InfillMarks,
    InfillTokens,
    family_of,
    infill_of,
)
from rkllm_twisted.chat.families import named as family_named
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.chat.tool_formats import special_format
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.formats.file_kind import FileKind
from rkllm_twisted.models.directories import FileIdentity
from rkllm_twisted.models.setting_rules import CAPABILITIES, KINDS
from rkllm_twisted.models.settings import ModelSettings

#: ``{architecture}.pooling_type`` of GGUF (``enum llama_pooling_type``) -> kind and pooling.
_POOLING_TYPES: Mapping[int, tuple[str, str | None]] = {
    1: ("embedding", "mean"),
    2: ("embedding", "cls"),
    3: ("embedding", "last"),
    4: ("rerank", None),
}
#: Words in a chat template -> the ability of the model that they show.
_TEMPLATE_WORDS: Mapping[str, tuple[str, ...]] = {
    "tools": ("tools",),
    "thinking": ("enable_thinking", "<think>"),
}
#: The GGUF keys of the marks before, behind and in a gap in a text; the second row is of old files.
_INFILL_KEYS = (
    tuple(f"tokenizer.ggml.fim_{part}_token_id" for part in ("pre", "suf", "mid")),
    tuple(f"tokenizer.ggml.{part}_token_id" for part in ("prefix", "suffix", "middle")),
)
#: The GGUF keys of the tokens that end an answer.
_END_KEYS = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id")


@attrs.frozen
class NamedModel:
    """A model.

    :param name: the folder's name, the file's without its ending, or both with a slash between.
    :param place: the number of its directory, and the path of its file below the directory.
    :param path: the same as an absolute path, with the directory as the options have it.
    :param identity: the identity of the file when it was read.
    :param companions: by role, the absolute paths of the files beside it
        (:mod:`rkllm_twisted.models.companions`).
    :param template: the text of its chat template, from the first that there is: the file named in
        the settings, ``chat_template.jinja``, ``tokenizer_config.json``, the model's file itself.
    :param problems: why it cannot be loaded, a sentence each.
    """

    name: str
    place: tuple[int, str]
    path: str
    identity: FileIdentity
    file: FileKind
    settings: ModelSettings = attrs.field(factory=ModelSettings)
    companions: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    template: str | None = attrs.field(default=None, repr=False)
    problems: tuple[str, ...] = ()

    def check(self) -> None:
        """Check that it can be loaded.

        :raises InvalidParams: it cannot; the text has all reasons.
        """
        if self.problems:
            raise InvalidParams(" ".join(self.problems), {"parameter": "model", "model": self.name})

    @property
    def kind(self) -> str:
        """Its purpose, from the settings, else from its files, else chat."""
        if self.settings.kind is not None:
            return self.settings.kind
        if "encoder" in self.companions:
            return "vision"
        return self._pooling_type[0]

    @property
    def pooling(self) -> str | None:
        """The way to make an embedding of its hidden states; None if unknown."""
        return self.settings.pooling or self._pooling_type[1]

    @property
    def _pooling_type(self) -> tuple[str, str | None]:
        header = self.file.header
        number = header.count(f"{header.architecture}.pooling_type") if header else None
        return _POOLING_TYPES.get(number or 0, ("chat", None))

    @property
    def context(self) -> int | None:
        """The context in tokens: the one that it is loaded with, else the one in its file."""
        wanted = self.settings.param.get("max_context_len")
        if type(wanted) is int and wanted > 0:
            return wanted
        return self.file.header.context if self.file.header else None

    @property
    def family(self) -> str | None:
        """Its row of :data:`FAMILIES`, from the settings, else by its name."""
        if self.settings.family is not None:
            return self.settings.family
        rows = (family_of(name, FAMILIES) for name in self._names)
        return next((row.name for row in rows if row is not None), None)

    @property
    def _names(self) -> tuple[str, ...]:
        """Its name, and the one in its file."""
        inner = self.file.header.name if self.file.header else None
        return (self.name, inner.replace(" ", "-")) if inner else (self.name,)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Its abilities, in the order of :data:`CAPABILITIES`."""
        found = {*(self.settings.capabilities or ()), *KINDS[self.kind]}
        if self.settings.capabilities is None and "completion" in found:
            template = self.template or ""
            found |= {
                name
                for name, words in _TEMPLATE_WORDS.items()
                if any(word in template for word in words)
            }
            can_insert = self.infill is not None and "tokenizer" in self.companions
            found |= {"insert"} if can_insert else set()
        return tuple(name for name in CAPABILITIES if name in found)

    @property
    def infill(self) -> InfillMarks | InfillTokens | None:
        """The marks of fill-in-the-middle, from the settings, else its file, else its family."""
        if self.settings.infill is not None:
            return self.settings.infill
        header = self.file.header
        for keys in _INFILL_KEYS:
            if header is None:
                break
            match tuple(header.count(key) for key in keys):
                case (int(prefix), int(suffix), int(middle)):
                    return InfillTokens(prefix, suffix, middle)
        family = None if self.family is None else family_named(self.family, FAMILIES)
        marks = (infill_of(name, family) for name in self._names if family is not None)
        return next(filter(None, marks), None)

    @property
    def image(self) -> ImageMarks | None:
        """The texts around an image's rows, from the settings, else its family; None if unknown."""
        if self.settings.image is not None or self.family is None:
            return self.settings.image
        family = family_named(self.family, FAMILIES)
        return None if family is None else family.image

    @property
    def shows_marks(self) -> bool:
        """True if it is loaded so that the runtime's text has the special tokens.

        Without them no tool call can be told from other text. With a tokenizer.json the daemon
        makes the text itself.
        """
        return "tokenizer" not in self.companions and special_format(self.template) is not None

    @property
    def end_tokens(self) -> tuple[int | str, ...]:
        """The tokens that end a run: those in the settings, and if it shows marks, the usual."""
        own = self.settings.end_tokens
        if not self.shows_marks:
            return own
        family = None if self.family is None else family_named(self.family, FAMILIES)
        usual = () if family is None else family.end_tokens
        ids = (self.file.header.count(key) for key in _END_KEYS) if self.file.header else ()
        return (*own, *usual, *(number for number in ids if number is not None))

    @property
    def adapters(self) -> Mapping[str, Mapping[str, object]]:
        """The RKLLMLoraAdapter of each adapter that is loaded with it, by name."""
        folder = self.path.rpartition("/")[0]
        return {
            name: {
                "lora_adapter_path": f"{folder}/{adapter.file}",
                "lora_adapter_name": name,
                "scale": adapter.scale,
            }
            for name, adapter in self.settings.adapters.items()
        }

    def init_param(self, release: Release) -> Mapping[str, object]:
        """Return the RKLLMParam that loads it, for a release of the runtime."""
        marks = {"skip_special_token": False} if self.shows_marks else {}
        param = {"model_path": self.path, **marks, **self.settings.param}
        image = self.image if "vision" in self.capabilities else self.settings.image
        fields = fields_of(release, release.structs["RKLLMParam"])
        if image is not None and "img_start" in fields:  # since 1.3.0 they are in the input
            texts = {"img_start": image.start, "img_content": image.content, "img_end": image.end}
            param = {**texts, **param}
        return param
