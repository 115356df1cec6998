"""Fetch the Python documentation's sources and turn them into training documents.

Writes ``train.jsonl`` and ``heldout.jsonl``; each line is ``{"kind", "text"}`` for prose or
``{"kind", "turns": [[role, text], ...]}`` for a dialogue.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dialogues
import rest

PACKAGE = "python3.11-doc"
SOURCES = "usr/share/doc/python3.11/html/_sources"
# Change lists, licence texts and a removed library: long, and little of it answers a question.
EXCLUDED = ("whatsnew/", "distutils/", "license.rst", "contents.rst", "install/", "copyright.rst")
# How many dialogues begin with a core entry: what people ask first is to be learned by heart.
REPEATS = {"term": 90, "module": 20, "question": 22}
CHUNK = 1400  # characters of prose per document, so that nearly all fit into 512 tokens


def fetch(build: Path) -> Path:
    """Download and unpack the documentation package; return the directory of its sources."""
    unpacked = build / "doc"
    if not (unpacked / SOURCES).is_dir():
        build.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(["apt-get", "download", PACKAGE], cwd=build, check=True)
        except (OSError, subprocess.CalledProcessError):
            sys.exit(
                f"cannot download {PACKAGE}: on Debian 12, refresh the package lists first "
                "(as root: apt-get update), then run this again as any user"
            )
        archive = max(build.glob(f"{PACKAGE}_*.deb"), key=lambda path: path.stat().st_mtime)
        subprocess.run(["dpkg-deb", "-x", archive, unpacked], check=True)
        print("package", archive.name)
    return unpacked / SOURCES


def read(sources: Path) -> tuple[list[str], list[dialogues.Pair], list[dialogues.Pair]]:
    """Return prose chunks, the core questions (asked often) and all other entries."""
    prose: list[str] = []
    core: list[dialogues.Pair] = []
    entries: list[dialogues.Pair] = []
    for term, text in rest.glossary(sources / "glossary.rst.txt"):
        if answer := rest.shorten(text):
            core.append((term, "term", answer))
    for path in sorted(sources.rglob("*.rst.txt")):
        place = path.relative_to(sources).as_posix()
        if place.startswith(EXCLUDED):
            continue
        chunk = ""
        previous = rest.Item("text", "")
        for item in rest.items(path.read_text("utf-8")):
            if item.kind == "text":
                pair = _pair(previous, item)
                if pair:
                    builtin = place.startswith(("library/functions", "library/stdtypes"))
                    often = builtin or pair[1] in ("module", "question")
                    (core if often else entries).append(pair)
            if chunk and (item.kind == "title" or len(chunk) + len(item.text) > CHUNK):
                prose.append(chunk)
                chunk = ""
            if item.kind != "object":
                chunk = f"{chunk}\n{item.text}".strip()[:CHUNK]
            previous = item
        prose.append(chunk)
    return [text for text in prose if len(text) > 100], _unique(core), _unique(entries)


def _pair(head: rest.Item, item: rest.Item) -> dialogues.Pair | None:
    """A question/answer pair from a heading or object and the paragraph that follows it."""
    answer = rest.shorten(item.text)
    if not answer:
        return None
    if head.kind == "title":
        return (head.text, "question", answer) if head.text.endswith("?") else None
    if head.kind != "object":
        return None
    if head.role == "module":
        answer = f"The {head.text} module: {answer}"
        return (head.text, "module", answer)
    subject = head.text
    if head.module and head.role in ("function", "data", "decorator") and "." not in subject:
        subject = f"{head.module}.{subject}"
    callable_ = re.search("function|method|decorator|macro", head.role)
    return (subject, "function" if callable_ else "thing", answer)


def _unique(pairs: list[dialogues.Pair]) -> list[dialogues.Pair]:
    """Drop later entries for a subject that was already answered."""
    seen: dict[str, dialogues.Pair] = {}
    for pair in pairs:
        seen.setdefault(pair[0].lower(), pair)
    return list(seen.values())


def _is_held_out(text: str) -> bool:
    return hashlib.sha256(text.encode()).digest()[0] < 5


def documents(sources: Path, seed: int = 11) -> Iterator[tuple[bool, dict[str, object]]]:
    """Yield (held out?, document).  Held out are whole sections, entries and names."""
    rng = random.Random(seed)
    prose, core, entries = read(sources)
    print(f"{len(prose)} prose chunks, {len(core)} core pairs, {len(entries)} other pairs")
    for text in prose:
        yield _is_held_out(text), {"kind": "prose", "text": text}
    kept = [pair for pair in entries if not _is_held_out(pair[0])]
    for pair in entries:
        held_out = pair not in kept
        for _ in range(1 if held_out else 3):
            yield held_out, {"kind": "entry", "turns": dialogues.chat(pair, kept, rng)}
    for pair in core:
        for _ in range(REPEATS.get(pair[1], 40)):
            yield False, {"kind": "core", "turns": dialogues.chat(pair, core, rng)}
    for _ in range(9000):
        yield False, {"kind": "memory", "turns": dialogues.memory(core, rng)}
    for _ in range(200):
        turns = dialogues.memory(core, rng, held_out=True)
        yield True, {"kind": "memory", "turns": turns}
    for _ in range(1500):
        yield False, {"kind": "given", "turns": dialogues.given(rng)}
        yield False, {"kind": "talk", "turns": dialogues.small_talk(rng)}


def main() -> None:
    """Write both files and print how much of each kind there is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path(__file__).parent / "build")
    build: Path = parser.parse_args().build
    sources = fetch(build)
    count: Counter[tuple[str, str]] = Counter()
    names = {False: "train", True: "heldout"}
    files = {held: (build / f"{name}.jsonl").open("w") for held, name in names.items()}
    for held_out, document in documents(sources):
        line = json.dumps(document)
        files[held_out].write(line + "\n")
        count[names[held_out], str(document["kind"])] += 1
    for file in files.values():
        file.close()
    for (name, kind), number in sorted(count.items()):
        print(f"{name:8} {kind:7} {number:6} documents")


if __name__ == "__main__":
    main()
