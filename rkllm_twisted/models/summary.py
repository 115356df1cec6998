"""Describes models to clients, as JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone

import attrs

from rkllm_twisted.abi.release import Release
from rkllm_twisted.chat.families import InfillMarks, InfillTokens
from rkllm_twisted.models.encoder_fit import fits
from rkllm_twisted.models.named_model import NamedModel
from rkllm_twisted.models.setting_rules import CAPABILITIES
from rkllm_twisted.vision_interfaces import EncoderFacts


def summary(
    model: NamedModel, digest: str | None, is_loaded: bool, encoder: EncoderFacts | None = None
) -> Mapping[str, object]:
    """Return a model's entry in the result of ``models.list``.

    :param digest: the SHA-256 of its file in hexadecimal; None if it is not known yet.
    :param encoder: the vision encoder that is loaded.
    """
    return {
        "name": model.name,
        "aliases": list(model.settings.aliases),
        "kind": model.kind,
        "capabilities": _capabilities(model, encoder if is_loaded else None),
        "context": model.context,
        "size": model.identity.size,
        "modified": _time(model.identity.modified_ns),
        "digest": digest,
        "loaded": is_loaded,
        "problems": list(model.problems),
    }


def _capabilities(model: NamedModel, encoder: EncoderFacts | None) -> list[str]:
    """Return a model's abilities.

    :param encoder: the one that is loaded together with the model. Beside a model that is not
        loaded it shows nothing: a text model of its family may have rows of the same width.
    """
    found = set(model.capabilities)
    if encoder is not None and fits(encoder, model):
        found.add("vision")
    return [name for name in CAPABILITIES if name in found]


def details(
    model: NamedModel,
    digest: str | None,
    is_loaded: bool,
    release: Release,
    encoder: EncoderFacts | None = None,
) -> Mapping[str, object]:
    """Return the result of ``models.show``: the summary, and all other known facts.

    :param release: the loaded release of the runtime.
    """
    header, settings = model.file.header, model.settings
    return {
        **summary(model, digest, is_loaded, encoder),
        "path": model.path,
        "format": model.file.name,
        "toolkit": model.file.toolkit,
        "architecture": header and header.architecture,
        "parameters": header and header.parameters,
        "quantization": header and header.quantization,
        "family": model.family,
        "template": model.template,
        "pooling": model.pooling,
        "end_tokens": list(settings.end_tokens),
        "adapters": [dict(adapter) for adapter in model.adapters.values()],
        "infill": _infill(model.infill),
        "image": attrs.asdict(settings.image) if settings.image else None,
        "files": {role: list(paths) for role, paths in model.companions.items()},
        "param": model.init_param(release),
        "sampling": settings.sampling,
    }


def _infill(marks: InfillMarks | InfillTokens | None) -> Mapping[str, object] | None:
    if marks is None:
        return None
    return {"prefix": marks.prefix, "suffix": marks.suffix, "middle": marks.middle}


def _time(nanoseconds: int) -> str:
    """Return a time in the form of RFC 3339, in UTC."""
    time = datetime.fromtimestamp(nanoseconds // 10**9, timezone.utc)
    return time.isoformat().replace("+00:00", "Z")
