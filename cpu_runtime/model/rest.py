"""Turn reStructuredText sources into plain paragraphs and question/answer material.

This is not a reST parser: it understands just enough of the layout (blocks separated by blank
lines, indentation, directives) to keep the English and leave tables, code and markup behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Directives whose bodies are prose.  Everything else (tables, images, version notes, code) is
# dropped, because a model this small should spend its weights on sentences.
_PROSE = {"note", "warning", "important", "tip", "impl-detail", "cssclass", "glossary"}
_OBJECTS = {
    "function", "class", "exception", "data", "method", "attribute", "decorator", "classmethod",
    "staticmethod", "describe", "coroutinefunction", "coroutinemethod", "decoratormethod",
    "abstractmethod", "awaitablefunction", "awaitablemethod", "c:function", "c:type", "c:macro",
    "c:var", "c:member", "opcode", "pdbcommand",
}  # fmt: skip
_DIRECTIVE = re.compile(r"\.\. (?:([\w:.-]+)::\s*(.*))?")
_UNDERLINE = re.compile(r"([=\-~^\"'*#`+:.])\1{2,}$")
_SIGNATURE = re.compile(r"(?:[\w ]*?[ *])?([A-Za-z_][\w.]*)\s*(?:[(\[]|$)")


@dataclass
class Item:
    """One useful piece of a file: ``kind`` is ``text``, ``title`` or ``object``."""

    kind: str
    text: str
    module: str = ""
    role: str = ""


def inline(text: str) -> str:
    """Remove inline markup and squeeze white space."""
    text = re.sub(r":(pep|rfc):`(\d+)`", lambda m: f"{m[1].upper()} {m[2]}", text)
    text = re.sub(r":[\w:+-]+:`([^`]*)`", _role, text)
    text = re.sub(r"``([^`]*)``", r"\1", text)
    text = re.sub(r"`([^`<]*?)\s*<[^`>]*>`__?", r"\1", text)
    text = re.sub(r"`([^`]*)`_{0,2}", r"\1", text)
    text = re.sub(r"\|func-(\w+)\|_?", r"\1", text)
    text = re.sub(r"\s*\[[#\w*]+\]_", "", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"\1", text)
    text = re.sub(r"(?<![\w*])\*([^*\s][^*]*)\*(?!\*)", r"\1", text)
    text = re.sub(r"\\(.)", r"\1", text)
    text = text.replace(" --- ", " - ").replace(" -- ", " - ")
    return re.sub(r"\s+", " ", text).strip()


def _role(match: re.Match[str]) -> str:
    body = match.group(1)
    titled = re.match(r"(.*?)\s*<[^>]*>$", body, re.S)
    if titled:
        return titled.group(1)
    body = body.lstrip("!.")
    return body[1:].rsplit(".", 1)[-1] if body.startswith("~") else body


def _blocks(source: str) -> Iterator[list[str]]:
    """Split a source into runs of non-blank lines."""
    block: list[str] = []
    for line in source.expandtabs().splitlines():
        if line.strip():
            block.append(line.rstrip())
        elif block:
            yield block
            block = []
    if block:
        yield block


def items(source: str) -> Iterator[Item]:
    """Walk a source and yield its titles, paragraphs and documented objects in order."""
    module, skip = "", None
    for block in _blocks(source):
        indent = len(block[0]) - len(block[0].lstrip())
        if skip is not None and indent > skip:
            continue
        skip = None
        directive = _DIRECTIVE.match(block[0].strip() + " ")
        if directive:
            name, argument = directive.group(1) or "", (directive.group(2) or "").strip()
            if name in ("module", "currentmodule"):
                module = argument
            if name not in _OBJECTS | _PROSE:
                skip = indent
            yield from _directive(name, argument, module, block)
            continue
        item = _plain(block)
        if item and item.text.endswith("::"):
            # What follows, further in, is program text.
            skip, item.text = indent, item.text[:-1]
        if item and re.search(r"\w", item.text):
            yield item


def _directive(name: str, argument: str, module: str, block: list[str]) -> Iterator[Item]:
    """What a directive itself contributes; its indented body comes as blocks of its own."""
    if name == "module":
        synopsis = re.search(r":synopsis:\s*(.+)", "\n".join(block))
        if synopsis:
            yield Item("object", argument, "", "module")
            yield Item("text", inline(synopsis.group(1)).rstrip(".") + ".")
    elif name in _OBJECTS:
        signature = _SIGNATURE.match(argument)
        if signature:
            owner = "" if name.startswith("c:") else module
            yield Item("object", signature.group(1), owner, name)
    elif name in _PROSE:
        rest = argument + " " + " ".join(block[1:])
        if rest.strip() and not rest.strip().startswith(":"):
            yield Item("text", inline(rest))


def _plain(block: list[str]) -> Item | None:
    """A block that is no directive: a heading, a paragraph or something to leave out."""
    first = block[0].strip()
    if len(block) >= 2 and any(_UNDERLINE.match(line.strip()) for line in block[:3]):
        words = [line for line in block if not _UNDERLINE.match(line.strip())]
        return Item("title", inline(words[0])) if len(words) == 1 else None
    if first.startswith(("+-", "|", "==", ">>>", "$ ", ":", "__", "**Source code:**")):
        return None
    return Item("text", inline(" ".join(line.strip() for line in block)))


def glossary(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (term, definition) from the glossary, whose terms share a block with their text."""
    term = ""
    body: list[str] = []
    for line in [*path.read_text("utf-8").split(".. glossary::")[1].splitlines(), "   end"]:
        if re.match(r" {3}\S", line):
            if term and body:
                yield inline(term), inline(_first_paragraph(body))
            term, body = line.strip(), []
        else:
            body.append(line)


def _first_paragraph(lines: list[str]) -> str:
    return "\n".join(lines).strip("\n").split("\n\n")[0]


def shorten(text: str, limit: int = 230) -> str:
    """Keep whole leading sentences up to ``limit`` characters; empty if there is no good one."""
    kept = ""
    for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z\"(])", text):
        if not sentence.endswith((".", "!", "?")) or len(kept) + len(sentence) > limit:
            break
        kept = f"{kept} {sentence}".strip()
    good = len(kept) >= 15 and kept.isascii() and re.match(r"[A-Z\"(]", kept) and "`" not in kept
    return kept if good else ""
