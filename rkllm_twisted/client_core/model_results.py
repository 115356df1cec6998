"""Typed results of the methods for models. Each keeps the daemon's own result in ``raw``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from rkllm_twisted.client_core.results import Raw, known


@attrs.frozen
class ModelSummary:
    """A model in ``--model-dir``.

    :param aliases: its other names.
    :param kind: ``chat``, ``vision``, ``embedding`` or ``rerank``.
    :param capabilities: what it can do, such as ``completion`` or ``tools``.
    :param context: the tokens that it reads at once; None if unknown.
    :param size: bytes of its file.
    :param modified: when its file was written, in the form of RFC 3339.
    :param digest: SHA-256 of its file; None unless ``show_model`` was asked for it.
    :param loaded: True if it is the model that is loaded.
    :param problems: why it cannot be loaded, a sentence each.
    """

    name: str
    aliases: Sequence[str] = ()
    kind: str = "chat"
    capabilities: Sequence[str] = ()
    context: int | None = None
    size: int = 0
    modified: str = ""
    digest: str | None = None
    loaded: bool = False
    problems: Sequence[str] = ()
    raw: Raw = attrs.field(factory=dict, repr=False, eq=False, kw_only=True)


@attrs.frozen
class ModelDetails(ModelSummary):
    """The result of ``models.show``; ``docs/methods.md`` has the meaning of each field.

    :param param: the RKLLMParam that loads it.
    """

    path: str = ""
    format: str = ""
    toolkit: str | None = None
    architecture: str | None = None
    parameters: int | None = None
    quantization: str | None = None
    family: str | None = None
    template: str | None = attrs.field(default=None, repr=False)
    pooling: str | None = None
    end_tokens: Sequence[str | int] = ()
    adapters: Sequence[Mapping[str, Any]] = ()
    infill: Mapping[str, str | int] | None = None
    image: Mapping[str, str] | None = None
    files: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    param: Mapping[str, Any] = attrs.field(factory=dict)
    sampling: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class ModelListing:
    """The result of ``models.list``.

    :param models: by name, those that cannot be loaded included.
    :param problems: what else is wrong in the directories, a sentence each.
    """

    models: tuple[ModelSummary, ...]
    problems: Sequence[str] = ()
    raw: Raw = attrs.field(factory=dict, repr=False, eq=False)


@attrs.frozen
class ModelLoaded:
    """The result of ``models.load``.

    :param model: the model's own name.
    :param param: the RKLLMParam that it was loaded with.
    :param lora_adapters: the names of its adapters.
    :param load_time_s: how long loading took, in seconds; 0 if it was loaded before.
    """

    model: str
    param: Mapping[str, Any] = attrs.field(factory=dict)
    lora_adapters: Sequence[str] = ()
    load_time_s: float = 0.0
    raw: Raw = attrs.field(factory=dict, repr=False, eq=False)


@attrs.frozen
class ModelUnloaded:
    """The result of ``models.unload``.

    :param model: the name of the model; None if it was loaded by its path.
    :param path: of its file.
    """

    model: str | None
    path: str
    raw: Raw = attrs.field(factory=dict, repr=False, eq=False)


def listing_of(raw: Raw) -> ModelListing:
    """Read the result of ``models.list``."""
    models = tuple(attrs.evolve(known(ModelSummary, one), raw=one) for one in raw["models"])
    return ModelListing(models, raw["problems"], raw)


def details_of(raw: Raw) -> ModelDetails:
    """Read the result of ``models.show``."""
    return attrs.evolve(known(ModelDetails, raw), raw=raw)


def loaded_of(raw: Raw) -> ModelLoaded:
    """Read the result of ``models.load``."""
    return attrs.evolve(known(ModelLoaded, raw), raw=raw)


def unloaded_of(raw: Raw) -> ModelUnloaded:
    """Read the result of ``models.unload``."""
    return attrs.evolve(known(ModelUnloaded, raw), raw=raw)
