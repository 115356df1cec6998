"""The profile of a model for inference: the files beside it, read once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs

from rkllm_twisted.chat.extras import ExtraMissingError
from rkllm_twisted.chat.families import ImageMarks, InfillMarks, InfillTokens
from rkllm_twisted.chat.families import named as family_named
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.chat.model import ChatModel, OpenTemplate, chat_model, read_specials
from rkllm_twisted.chat.vocabulary import MAX_FILE, Vocabulary
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.formats.gguf_tokenizer import read_tokenizer
from rkllm_twisted.models.catalogue import Catalogue
from rkllm_twisted.models.named_model import NamedModel
from rkllm_twisted.models.template import MAX_CONFIG_BYTES, json_object


@attrs.frozen(eq=False)
class ModelProfile:
    """One model.

    :param name: the name in answers: the model's own, else its file's.
    :param path: the path that it is loaded by.
    :param chat: what chat knows of it.
    :param kind: its purpose: chat, vision, embedding or rerank.
    :param pooling: the way to make an embedding of its hidden states; None if unknown.
    :param sampling: fields of RKLLMSamplingParam for its runs.
    :param end_ids: the ids of the tokens that end an answer.
    :param infill: the marks of fill-in-the-middle; None if it has none.
    :param read_own: reads the tokenizer in the model's own file, which takes up to some seconds,
        and returns the profile with it; None if there is a tokenizer beside the model, or none.
    :param image: the texts around an image's rows; None if unknown.
    """

    name: str
    path: str
    chat: ChatModel
    kind: str = "chat"
    pooling: str | None = None
    sampling: Mapping[str, object] = attrs.field(factory=dict)
    end_ids: frozenset[int] = frozenset()
    infill: InfillMarks | None = None
    read_own: Callable[[], ModelProfile | None] | None = None
    image: ImageMarks | None = None

    def vocabulary(self, purpose: str) -> Vocabulary:
        """Return the tokenizer.

        :param purpose: what it is needed for, in words that follow "To".
        :raises InvalidParams: the model has none.
        """
        if self.chat.vocabulary is None:
            raise InvalidParams(
                f"To {purpose}, put the model's tokenizer.json beside {self.name}.",
                {"parameter": "model", "model": self.name},
            )
        return self.chat.vocabulary


def bare_profile(path: str, context: int) -> ModelProfile:
    """Return the profile of a model about which no file says anything."""
    return ModelProfile(path.rpartition("/")[2], path, ChatModel(path, context))


@attrs.frozen
class ProfileReader:
    """Makes profiles from files. It blocks.

    :param open_template: makes a template from its text, see
        :func:`rkllm_twisted.chat.model.chat_model`.
    """

    _open_template: OpenTemplate

    def read(self, catalogue: Catalogue, model: NamedModel, context: int) -> ModelProfile:
        """Read the files beside a model.

        :param context: how many tokens the model is loaded with room for.
        :raises InvalidParams: a file cannot be used; the text names it.
        :raises ExtraMissingError: a file needs a package that is not installed.
        """
        text = catalogue.read_beside(model, "tokenizer", MAX_FILE)
        vocabulary = None if text is None else Vocabulary(text.decode("utf-8", "replace"))
        profile = self._read(catalogue, model, context, vocabulary)
        if vocabulary is not None or model.file.name != "gguf":
            return profile
        return attrs.evolve(profile, read_own=partial(self._with_own, catalogue, model, context))

    def _with_own(
        self, catalogue: Catalogue, model: NamedModel, context: int
    ) -> ModelProfile | None:
        """Return the profile with the tokenizer in the model's own file; None if it has none."""
        file = catalogue.open(model)
        try:
            own = read_tokenizer(file.read, file.identity.size)
        except ValueError:
            return None  # the runtime has read it, and knows better
        if own is None:
            return None
        vocabulary = Vocabulary(json.dumps(own.settings))
        vocabulary.is_certain = True
        made = self._read(catalogue, model, context, vocabulary, own.specials)
        return attrs.evolve(made, end_ids=made.end_ids | own.ends)

    def _read(
        self,
        catalogue: Catalogue,
        model: NamedModel,
        context: int,
        vocabulary: Vocabulary | None,
        specials: Mapping[str, str] | None = None,
    ) -> ModelProfile:
        config = _json(catalogue, model, "tokenizer_config")
        specials = {**(specials or {}), **read_specials(config)}
        family = None if model.family is None else family_named(model.family, FAMILIES)
        control = {} if vocabulary is None else vocabulary.control
        own = [text for text in model.end_tokens if isinstance(text, str)]
        usual = [*(family.end_tokens if family else ()), specials.get("eos_token", "")]
        texts = {**dict.fromkeys(own), **dict.fromkeys(usual if model.shows_marks else ())}
        make = partial(
            chat_model,
            f"{model.path} {model.identity}",
            context,
            family=family,
            vocabulary=vocabulary,
            specials=specials,
            end_tokens=tuple(text for text in texts if text and text not in control),
            open_template=self._open_template,
        )
        try:
            chat = make(template=model.template)
        except ExtraMissingError:
            if vocabulary is not None or not _is_inside(model):
                raise
            chat = ChatModel(f"{model.path} {model.identity}", context)  # the runtime reads it, too
        ids = [number for number in model.end_tokens if isinstance(number, int)]
        ids += _end_ids(_json(catalogue, model, "generation_config"))
        ids += [control[text] for text in (*own, *usual) if text in control]
        return ModelProfile(
            model.name,
            model.path,
            chat,
            model.kind,
            model.pooling,
            model.settings.sampling,
            frozenset(ids),
            _infill(model, vocabulary),
            image=model.image,
        )


def _infill(model: NamedModel, vocabulary: Vocabulary | None) -> InfillMarks | None:
    match model.infill:
        case InfillTokens() as ids:
            control = {} if vocabulary is None else vocabulary.control
            texts = {number: text for text, number in control.items()}
            prefix, suffix, middle = (texts.get(number) for number in attrs.astuple(ids))
            return InfillMarks(prefix, suffix, middle) if prefix and suffix and middle else None
        case marks:
            return marks


def _json(catalogue: Catalogue, model: NamedModel, role: str) -> Mapping[str, Any]:
    data = catalogue.read_beside(model, role, MAX_CONFIG_BYTES)
    if data is None:
        return {}
    try:
        return json_object(data)
    except ValueError as error:
        raise InvalidParams(
            f"{model.companions[role][0]} {error}.", {"parameter": "model", "model": model.name}
        ) from None


def _end_ids(config: Mapping[str, Any]) -> list[int]:
    """Return the end tokens of a decoded ``generation_config.json``."""
    value = config.get("eos_token_id")
    values = value if isinstance(value, list) else [value]
    return [number for number in values if type(number) is int]


def _is_inside(model: NamedModel) -> bool:
    """True if the template is in the model's own file."""
    header = model.file.header
    return header is not None and model.template == header.template
