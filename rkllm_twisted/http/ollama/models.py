"""``/api/tags``, ``/api/show`` and ``/api/ps``: what is known of models, in Ollama's form."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from rkllm_twisted.chat.families import family_of
from rkllm_twisted.chat.family_table import FAMILIES

#: Clients compare it with the release that they need: the interface of this one is served here.
API_VERSION = "0.14.0"
#: The tag that a name without one has.
LATEST = ":latest"
#: A model stays loaded until another is, or until the daemon's --keep-alive.
NEVER = "2300-01-01T00:00:00Z"
#: The capabilities that clients know, and that this service can answer for.
_CAPABILITIES = ("completion", "tools", "thinking", "vision", "embedding", "insert")
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?[bm])(?![a-z0-9])", re.IGNORECASE)
_QUANTIZATION = re.compile(
    r"(?<![a-z0-9])(w\d+a\d+(?:_g\d+)?|i?q\d+_\w+|bf16|f16|f32)(?![a-z0-9])", re.IGNORECASE
)
_UNITS = ((10**9, "B"), (10**6, "M"), (10**3, "K"))


@attrs.frozen
class Facts:
    """What is known of a model.

    :param raw: the result of ``models.show``, or the model's entry in ``models.list``; empty if the
        model was loaded by its path.
    """

    name: str
    context: int | None
    size: int
    modified: str
    raw: Mapping[str, Any]

    @property
    def capabilities(self) -> list[str]:
        """What clients may ask it for."""
        known: Sequence[str] = self.raw.get("capabilities", ("completion",))
        return [name for name in _CAPABILITIES if name in known]

    @property
    def architecture(self) -> str:
        """By its file, else by its name."""
        return str(self.raw.get("architecture") or self.family or "rkllm")

    @property
    def family(self) -> str:
        """How it is spoken to; empty if unknown."""
        if self.raw.get("family"):
            return str(self.raw["family"])
        row = family_of(self.name, FAMILIES)
        return "" if row is None else row.name

    @property
    def digest(self) -> str:
        """64 hexadecimal digits: of the file if known, else of its name, size and time."""
        known = self.raw.get("digest")
        text = f"{self.name}\n{self.size}\n{self.modified}"
        return str(known or hashlib.sha256(text.encode()).hexdigest())

    @property
    def details(self) -> Mapping[str, object]:
        """Size, quantization and family; from the name what no file says."""
        family = self.family or str(self.raw.get("architecture") or "")
        count = self.raw.get("parameters")
        return {
            "parent_model": "",
            "format": self.raw.get("format") or "",
            "family": family,
            "families": [family] if family else [],
            "parameter_size": human_count(count) if count else _found(_SIZE, self.name),
            "quantization_level": (
                self.raw.get("quantization") or _found(_QUANTIZATION, self.name)
            ).upper(),
        }


def _found(pattern: re.Pattern[str], name: str) -> str:
    match = pattern.search(name)
    return match[1].upper() if match else ""


def human_count(count: int) -> str:
    """Return a number of parameters as people write it, ``1.7B``."""
    unit, letter = next((one for one in _UNITS if count >= one[0]), (1, ""))
    return f"{count / unit:.1f}".removesuffix(".0") + letter


def listed_name(name: str) -> str:
    """Return a name with its tag."""
    return name if ":" in name.rpartition("/")[2] else name + LATEST


def tag_entry(facts: Facts) -> dict[str, object]:
    """Return a model's entry in the answer of ``/api/tags``."""
    name = listed_name(facts.name)
    return {
        "name": name,
        "model": name,
        "modified_at": facts.modified or "1970-01-01T00:00:00Z",
        "size": facts.size,
        "digest": facts.digest,
        "details": facts.details,
        "capabilities": facts.capabilities,
    }


def ps_entry(facts: Facts) -> Mapping[str, object]:
    """Return a loaded model's entry in the answer of ``/api/ps``."""
    entry = tag_entry(facts)
    del entry["modified_at"], entry["capabilities"]
    # The NPU reads the board's one memory, so all of a model is "in its memory".
    memory = {"expires_at": NEVER, "size_vram": facts.size}
    return {**entry, **memory, "context_length": facts.context or 0}


def show_answer(facts: Facts) -> Mapping[str, object]:
    """Return the answer of ``/api/show``."""
    architecture = facts.architecture
    info: dict[str, object] = {"general.architecture": architecture, "general.basename": facts.name}
    if facts.raw.get("parameters"):
        info["general.parameter_count"] = facts.raw["parameters"]
    if facts.context:
        info[f"{architecture}.context_length"] = facts.context
    parameters = "\n".join(_parameters(facts))
    lines = [f"PARAMETER {line}" for line in parameters.splitlines()]
    return {
        "modelfile": "\n".join([f"FROM {facts.name}", *lines, ""]),
        "parameters": parameters,
        "template": facts.raw.get("template") or "",
        "details": facts.details,
        "model_info": info,
        "capabilities": facts.capabilities,
        "modified_at": facts.modified or "1970-01-01T00:00:00Z",
    }


def _parameters(facts: Facts) -> list[str]:
    """Return the model's own settings, one in a line."""
    own = {**facts.raw.get("param", {}), **facts.raw.get("sampling", {})}
    names = ("temperature", "top_k", "top_p", "repeat_penalty")
    lines = [f"{name} {own[name]}" for name in names if name in own]
    stops = [end for end in facts.raw.get("end_tokens", ()) if isinstance(end, str)]
    room = [f"num_ctx {facts.context}"] if facts.context else []
    return [*room, *lines, *(f"stop {json.dumps(end, ensure_ascii=False)}" for end in stops)]
