"""Assigns the files beside a model to their roles.

Beside a flat file ``NAME.gguf`` the tokenizer is ``NAME.tokenizer.json``, and so on. In a model's
own folder, or if the folder has one model only, it may also be ``tokenizer.json``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase

#: The files that a model has once -> their roles.
SINGLE: Mapping[str, str] = {
    "rkllm.toml": "settings",
    "tokenizer.json": "tokenizer",
    "tokenizer_config.json": "tokenizer_config",
    "chat_template.jinja": "template",
    "generation_config.json": "generation_config",
}
#: The patterns, in lower case, of files that a model may have several of. rkllm-toolkit writes
#: adapters with the ending of models, so the name of such an adapter must hold the word.
SEVERAL: Mapping[str, str] = {
    "*.rknn": "encoder",
    "*lora*.rkllm": "lora",
    "*lora*.gguf": "lora",
    "*prompt_cache*": "prompt_cache",
}
#: Kinds of files (:func:`~rkllm_twisted.formats.file_kind.file_kind`) -> their roles.
BY_KIND: Mapping[str, str] = {
    "adapter": "lora",
    "projector": "encoder",
    "prompt-cache": "prompt_cache",
}


def role_of(name: str) -> str | None:
    """Return the role of a file by its name; None if it may be a model, or anything else."""
    for single, role in SINGLE.items():
        if name == single or name.endswith(f".{single}"):
            return role
    for pattern, role in SEVERAL.items():
        if fnmatchcase(name.lower(), pattern):
            return role
    return None


def companions_of(
    stem: str, roles: Mapping[str, str], stems: Collection[str], shares: bool
) -> Mapping[str, tuple[str, ...]]:
    """Return the files that belong to a model.

    :param stem: the name of its file without the ending.
    :param roles: the roles of the files in its folder that are no models, by name.
    :param stems: the stems of all models in the folder.
    :param shares: True if files without a model's name belong to it, too.
    :returns: by role, the names of files; one for each role in :data:`SINGLE`.
    """
    found: dict[str, list[str]] = {}
    for name, role in sorted(roles.items()):
        owner = _owner(name, stems)
        if owner == stem:
            found.setdefault(role, []).insert(0, name)
        elif owner is None and shares:
            found.setdefault(role, []).append(name)
    single = set(SINGLE.values())
    return {
        role: tuple(names[:1] if role in single else sorted(names)) for role, names in found.items()
    }


def _owner(name: str, stems: Iterable[str]) -> str | None:
    """Return the longest model's name that a file's name begins with."""
    fits = [stem for stem in stems if name.startswith((f"{stem}.", f"{stem}-", f"{stem}_"))]
    return max(fits, key=len, default=None)
