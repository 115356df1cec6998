"""Renders docs/methods.md: the description of the methods, and the examples, as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from words import items_table, spans, table

from rkllm_twisted.description.model import Description, MethodDescription, Structure
from rkllm_twisted.errors import BY_CODE

Lines = Iterator[str]

INTRODUCTION = """\
# The methods

<!-- Made by docs/generate.py. Change the code or its notes and examples, not this page. -->

Every method of the daemon with its parameters, its result, its errors and examples. The page is
made from the method plugins and the table of rkllm.h's layouts. A test sends each example to a
daemon, on every release that it names, and compares the answer. [The wire](wire.md) describes how
messages are framed, streamed and cancelled.

## Reading this page

**Parameters** go by position, in the C function's order, or by name. The slots that the daemon
fills (the handle, the callback, `userdata`, outputs) are null or left out; this page shows them as
`null`. The handle's null may be left out, and so may everything at the end that is not required. A
first null is the handle, unless the first parameter may itself be null: then it is the handle only
in a list that has more values than the method has parameters.

**Structures** are objects with the C field names. A field that is left out has its default. Null
instead of text, an array or a structure means that it is left out. A field that does not exist, or
not in the loaded release, is refused by name.

**Enums** are numbers or names in requests, and numbers in results.

**Numbers** are checked against their C type:

{types}

**Arrays** of `float *`, `int32_t *` and `int *` are arrays of numbers; those of floats may be
nested row by row. They may also be `{{"base64": …, "dtype": "<f4", "shape": […]}}` (`<i4` for whole
numbers). The daemon sends those of floats in that form after `server.configure {{"floats":
"base64"}}`.

**Releases** are those of the runtime: {releases}. What names none is in all of them.

In the **examples** `→` is sent and `←` is the answer. Files are in `/models`; the scripted models
that make the answers predictable are [at the end](#models-of-the-examples). A string in angle
brackets that is all of a value in an answer is a placeholder for a value that varies:

{placeholders}
"""
#: A remark under a structure's heading.
REMARKS: Mapping[str, str] = {
    "RKLLMParam": "The defaults are the loaded library's own: `rkllm.createDefaultParam` returns"
    " them. Its [examples](#rkllmcreatedefaultparam) show those of the embedded runtime; other"
    " libraries have others. In `rkllm.createDefaultParam`, `model_path` may be null.",
    "RKLLMExtendParam": "The defaults are the loaded library's own, as those of RKLLMParam.",
    "RKLLMSamplingParam": "The default of each field is the value that the model was loaded with.",
}
#: The prefix of the methods' names -> the heading of their part of the page.
GROUPS: Mapping[str, str] = {
    "rkllm.": "The runtime: `rkllm.*`",
    "server.": "The daemon: `server.*`",
    "models.": "Models by name: `models.*`",
    "chat.": "Conversations: `chat.*`",
    "text.": "Text: `text.*`",
    "vision.": "Vision encoders: `vision.*`",
    "embeddings.": "Embeddings: `embeddings.*`",
    "rerank.": "Scores of documents: `rerank.*`",
    "tokens.": "Tokens: `tokens.*`",
    "rpc.": "Self-description: `rpc.*`",
    "system.": "Introspection: `system.*`",
}


def render(description: Description, examples: Mapping[str, Any]) -> str:
    """Make the page."""
    parts = [
        _introduction(description, examples),
        *(_group(prefix, description, examples) for prefix in GROUPS),
        _structures(description),
        _enums(description),
        _errors(examples),
        _models(examples),
    ]
    return "\n".join(line for part in parts for line in part).rstrip("\n") + "\n"


# ---- Parts ----


def _introduction(description: Description, examples: Mapping[str, Any]) -> Lines:
    fields = [f.type for s in description.structures.values() for f in s.fields]
    whole = {t.c: t for t in fields if t.c and t.least is not None}
    rows = [(f"`{c}`", "whole number", f"{t.least} … {t.greatest}") for c, t in whole.items()]
    rows.append(("`float`", "number", "finite, and within a float32"))
    rows.append(("`bool`", "true or false", "0 and 1 will do"))
    placeholders = [(f"`{name}`", kind["about"]) for name, kind in examples["placeholders"].items()]
    yield INTRODUCTION.format(
        types="\n".join(table(("C type", "JSON", "range"), sorted(rows))).rstrip(),
        releases=", ".join(description.releases),
        placeholders="\n".join(table(("placeholder", "stands for"), placeholders)).rstrip(),
    )


def _group(prefix: str, description: Description, examples: Mapping[str, Any]) -> Lines:
    yield f"## {GROUPS[prefix]}"
    yield ""
    for method in description.methods:
        if method.name.startswith(prefix):
            yield from _method(method, description)
            yield from _examples(method.name, examples)


def _method(method: MethodDescription, description: Description) -> Lines:
    yield f"### {method.name}"
    yield ""
    yield method.summary
    only = spans(method.releases, description.releases)
    facts = [
        f"C function `{method.function}`" if method.function else "",
        f"releases: {only}" if only else "",
        "streams, so not in a batch" if method.streams else "",
        "for [administrators](security.md), where some are named" if method.administrative else "",
    ]
    said = "; ".join(filter(None, facts))
    if said:
        yield f"{said[0].upper()}{said[1:]}."
    yield ""
    if method.parameters:
        yield f"Parameters by position: `{_positions(method)}`."
        yield ""
        known, having = description.releases, method.releases
        yield from items_table("parameter", method.parameters, description.enums, known, having)
    else:
        yield "Parameters: none."
        yield ""
    yield from _result(method, description)
    codes = ", ".join(f"[{error.code}](#errors)" for error in method.errors)
    yield f"Errors: {codes}."
    yield ""


def _positions(method: MethodDescription) -> str:
    if method.slots:
        names = ["null" if slot.owned else slot.name for slot in method.slots]
    else:
        names = [item.name for item in method.parameters]
    return f"[{', '.join(names)}]"


def _result(method: MethodDescription, description: Description) -> Lines:
    result = method.result
    structure = result.structure
    fields = f"The fields of [{structure}](#{structure.lower()})" if structure else ""
    and_these = f"{fields}, and:" if fields and result.items else f"{fields}." * bool(fields)
    yield " ".join(filter(None, ("Result:", result.about, and_these)))
    yield ""
    if result.items:
        yield from items_table("member", result.items, description.enums, (), ())


def _steps(shows: str, examples: Mapping[str, Any]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    for scene in examples["scenes"]:
        for step in scene["steps"]:
            if step.get("shows") == shows:
                yield scene["releases"], step


def _examples(shows: str, examples: Mapping[str, Any]) -> Lines:
    for releases, step in _steps(shows, examples):
        about = step.get("about", "An example:").removesuffix(":")
        yield f"{about} ({', '.join(releases)}):"
        yield ""
        yield "```"
        yield f"→ {json.dumps(step['send'], ensure_ascii=False)}"
        yield from (f"← {json.dumps(answer, ensure_ascii=False)}" for answer in step["receive"])
        yield "```"
        yield ""


def _structures(description: Description) -> Lines:
    yield "## Structures"
    yield ""
    for structure in description.structures.values():
        yield from _structure(structure, description)


def _structure(structure: Structure, description: Description) -> Lines:
    yield f"### {structure.name}"
    yield ""
    yield structure.about
    if structure.name in REMARKS:
        yield REMARKS[structure.name]
    known, having = description.releases, structure.releases
    only = spans(having, known)
    if only:
        yield f"Releases: {only}."
    yield ""
    yield from items_table("field", structure.fields, description.enums, known, having)


def _enums(description: Description) -> Lines:
    yield "## Enums"
    yield ""
    for enum in description.enums.values():
        yield f"### {enum.name}"
        yield ""
        yield enum.about
        yield ""
        yield from table(
            ("number", "name", "meaning", "releases"),
            [
                (str(v.number), f"`{v.name}`", v.meaning, spans(v.releases, description.releases))
                for v in enum.values
            ],
        )


def _errors(examples: Mapping[str, Any]) -> Lines:
    yield "## Errors"
    yield ""
    yield "Any request may also get -32700, -32600, -32601 and -32603."
    yield ""
    rows = [
        (str(code), error.__name__, " ".join((error.__doc__ or "").replace("``", "`").split()))
        for code, error in BY_CODE.items()
    ]
    yield from table(("code", "name", "meaning"), rows)
    yield from _examples("errors", examples)


def _models(examples: Mapping[str, Any]) -> Lines:
    yield "## Models of the examples"
    yield ""
    yield "`/models/tiny.gguf` and `/models/tiny-lora.gguf` are the bundled model and its adapter."
    yield "The others are scripts for the [embedded runtime](embedded-runtime.md), and the settings"
    yield "of one:"
    yield ""
    for name, lines in examples["models"].items():
        yield f"`/models/{name}`:"
        yield ""
        yield from ("```", *lines, "```", "")
