"""The models that daemons serve, and the one that a name means. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from rkllm_twisted.chat.families import family_of
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.errors import HTTPError
from rkllm_twisted.http.error_table import model_not_found
from rkllm_twisted.models.encoder_fit import (
    family_of_encoder,
    reason_against_family,
    reason_against_outputs,
)
from rkllm_twisted.vision_interfaces import EncoderLoad

#: So many names are shown in an error.
NAMES_SHOWN = 10
LATEST = ":latest"
#: Members of an entry of ``models.list`` that a served model has, too.
_MEMBERS = (
    "aliases",
    "kind",
    "capabilities",
    "context",
    "size",
    "modified",
    "digest",
    "loaded",
    "problems",
)


@attrs.frozen
class ServedModel:
    """A model of a daemon.

    :param name: what clients call it.
    :param daemon: the number of its daemon.
    :param target: the name for the daemon; None means the loaded model, which has no name there.
    :param problems: why it cannot be loaded, a sentence each.
    :param raw: what ``models.list`` says of it.
    """

    name: str
    daemon: int
    target: str | None
    aliases: Sequence[str] = ()
    kind: str = "chat"
    capabilities: Sequence[str] = ()
    context: int | None = None
    size: int = 0
    modified: str = ""
    digest: str | None = None
    loaded: bool = False
    problems: Sequence[str] = ()
    raw: Mapping[str, Any] = attrs.field(factory=dict, repr=False, eq=False)

    @property
    def created(self) -> int:
        """The time when its file was written, in seconds since 1970; 0 if unknown."""
        try:
            return int(datetime.fromisoformat(self.modified.replace("Z", "+00:00")).timestamp())
        except ValueError:
            return 0


def models_of(
    daemon: int, listing: Mapping[str, Any], status: Mapping[str, Any]
) -> list[ServedModel]:
    """Return the models of one daemon.

    :param listing: the result of ``models.list``.
    :param status: the result of ``server.status``.
    """
    models = [
        ServedModel(
            one["name"], daemon, one["name"], **{name: one[name] for name in _MEMBERS}, raw=one
        )
        for one in listing["models"]
    ]
    path = status["model_path"]
    if path is not None and not any(model.loaded for model in models):
        file = str(path).rpartition("/")[2]
        name = file.rpartition(".")[0] or file
        context = status["max_context_len"]
        raw = _what_is_seen(name, status)
        models.append(
            ServedModel(name, daemon, None, (file,), context=context, loaded=True, raw=raw)
        )
    return models


def _what_is_seen(name: str, status: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is known of a model that no list has: it reads images if an encoder fits.

    :param name: its file's, without the ending.
    """
    encoder = (status.get("vision") or {}).get("encoder")
    if encoder is None:
        return {}
    asked = EncoderLoad(encoder["path"], family=encoder["family"])
    family = family_of(name, FAMILIES)
    if reason_against_family(asked, None if family is None else family.name) is not None:
        return {}
    if reason_against_outputs(encoder["outputs"], family) is not None:
        return {}
    family = family or family_of_encoder(asked)
    has_texts = encoder["tags"] is not None or (family is not None and family.image is not None)
    return {"capabilities": ["completion", "vision"]} if has_texts else {}


def find_model(models: Iterable[ServedModel], wanted: str | None) -> ServedModel | None:
    """Return the model that a name means.

    The exact name goes before an alias, and that before other capital letters. A model that is
    loaded goes before one that is not, then one that can be loaded (daemons that share a directory
    list each other's files), and the daemons go in their order. Clients of Ollama's API
    know a model as ``name:latest``, and some use this name with the other APIs.

    :param wanted: the name; None means the loaded model of the first daemon that has one.
    """
    ranked = sorted(models, key=_precedence)
    if wanted is None:
        return next((model for model in ranked if model.loaded), None)
    return _named(ranked, wanted) or _named(ranked, wanted.removesuffix(LATEST))


def _precedence(model: ServedModel) -> tuple[bool, bool, int]:
    return not model.loaded, bool(model.problems), model.daemon


def _named(ranked: Sequence[ServedModel], wanted: str) -> ServedModel | None:
    folded = wanted.casefold()
    tests = (
        lambda model: model.name == wanted,
        lambda model: wanted in model.aliases,
        lambda model: folded in (name.casefold() for name in (model.name, *model.aliases)),
    )
    return next((model for test in tests for model in ranked if test(model)), None)


def not_found(models: Iterable[ServedModel], wanted: str) -> HTTPError:
    """Return the error for a name that no model has."""
    return model_not_found(f"There is no model {wanted[:100]!r}; {known_names(models)}.")


def known_names(models: Iterable[ServedModel]) -> str:
    """Say which models there are, in words that follow a semicolon."""
    names = sorted({model.name for model in models if not model.problems})
    listed = ", ".join(names[:NAMES_SHOWN]) + (" …" if len(names) > NAMES_SHOWN else "")
    return f"there are: {listed}" if names else "there is none; start the daemon with --model-dir"
