"""What the engines of the embedded runtime refuse, as tables: from the engines' own table in C, and
from the architectures that the package knows.

The tables stand between marks on pages that are written by hand.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from words import table

from rkllm_twisted import cpu
from rkllm_twisted.abi.release import releases
from rkllm_twisted.formats.architectures import KINDS
from rkllm_twisted.runtime.library import OpenedFile

#: A limit's name in C -> what is refused.
WORDS: Mapping[str, str] = {
    "batch": "`n_batch` above 1",
    "cross_attention": "cross attention: `use_cross_attn`, `rkllm.set_cross_attn_params`",
    "video": "video as input",
    "embeddings": "embeddings as input",
    "prompt_cache": "saved prompts",
}


def engine_limits() -> Mapping[str, Sequence[str]]:
    """Ask the libraries what each engine refuses; no libllama is opened for it."""
    found: dict[str, Sequence[str]] = {}
    for family in (cpu.CPU, cpu.LLAMA):
        path = cpu.library_path(cpu.newest_built(releases(), family), family)
        found |= OpenedFile(path, ctypes.CDLL(str(path))).limits
    return found


def limits_table(limits: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Make the table of what each engine refuses.

    :raises KeyError: a limit has no words here.
    """
    unknown = {name for names in limits.values() for name in names} - set(WORDS)
    if unknown:
        raise KeyError(f"docs/engine_limits.py has no words for {sorted(unknown)}")
    engines = sorted(limits, key=["tiny", "llama", "scripted"].index)
    rows = [
        (words, *("refused" if name in limits[engine] else "" for engine in engines))
        for name, words in WORDS.items()
        if any(name in names for names in limits.values())
    ]
    return table(("", *(f"*{engine}*" for engine in engines)), rows)


def kinds_table() -> Iterator[str]:
    """Make the table of the models that are no decoders, each kind with its architectures."""
    kinds: dict[str, list[str]] = {}
    for architecture, kind in KINDS.items():
        kinds.setdefault(kind, []).append(f"`{architecture}`")
    return table(("refused", "of the architectures"), [(k, ", ".join(a)) for k, a in kinds.items()])


def page(path: Path) -> str:
    """Make the text of a page anew, with its tables.

    :raises ValueError: the page has a mark that is not closed.
    """
    text = path.read_text("utf-8")
    for name, lines in (("limits", limits_table(engine_limits())), ("kinds", kinds_table())):
        begin, end = f"<!-- {name}: made by docs/generate.py -->\n", f"<!-- end of {name} -->"
        before, found, rest = text.partition(begin)
        if found:
            _, closed, after = rest.partition(end)
            if not closed:
                raise ValueError(f"{path} lacks {end}")
            text = "\n".join([f"{before}{begin}", *lines, f"{end}{after}"])
    return text
