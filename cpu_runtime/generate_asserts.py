"""Write include/rkllm_cpu_asserts.h: the facts of rkllm-abi.json as compile-time checks.

The header rkllm_cpu.h is written by hand for people; the table of layouts is what the Python
binding uses. This file is what keeps the two from drifting apart: a member that moves, changes its
size, or a function that changes its signature no longer compiles.

    python3 cpu_runtime/generate_asserts.py            write the file
    python3 cpu_runtime/generate_asserts.py --check    exit 1 if the file is not current
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
TABLE = HERE.parent / "rkllm_twisted" / "abi" / "rkllm-abi.json"
OUTPUT = HERE / "include" / "rkllm_cpu_asserts.h"

HEAD = """\
/* Made by generate_asserts.py from rkllm-abi.json; do not edit. */
#ifndef RKLLM_CPU_ASSERTS_H
#define RKLLM_CPU_ASSERTS_H

#include "rkllm_cpu.h"

#define IS_SIZE(type, size) _Static_assert(sizeof(type) == (size), "size of " #type)
#define IS_MEMBER(type, member, offset, size)                                               \\
    _Static_assert(offsetof(type, member) == (offset) &&                                    \\
                       sizeof(((type *)0)->member) == (size), "place of " #type "." #member)
#define IS_VALUE(name, value) _Static_assert((name) == (value), "value of " #name)
#define IS_TYPE(expression, name, ...)                                                      \\
    _Static_assert(_Generic((expression), __VA_ARGS__: 1, default: 0), "signature of " name)
"""

FOOT = """\
#undef IS_SIZE
#undef IS_MEMBER
#undef IS_VALUE
#undef IS_TYPE

#endif
"""


def abi_number(release: str) -> int:
    """The value of RKLLM_ABI for a release; the table calls 1.1.x by its last one, 1.1.4."""
    major, minor, patch = map(int, release.split("."))
    return major * 10000 + minor * 100 + patch


def member_checks(struct: str, members: list[dict], prefix: str = "") -> Iterator[str]:
    """One line per member, those of nested structures and unions included."""
    for member in members:
        inner = prefix
        if member["name"] is not None:
            path = prefix + member["name"]
            yield f"IS_MEMBER({struct}, {path}, {member['offset']}, {member['size']});"
            inner = f"{path}."
        yield from member_checks(struct, member.get("members", []), inner)


def signature(declaration: str) -> str:
    """The C type of a pointer to this function; the parameters' names are allowed in it."""
    return re.sub(r"^(.*?) \w+\(", r"\1 (*)(", declaration.rstrip(";")).replace("()", "(void)")


def complete(table: dict, release: str) -> dict:
    """An entry with what it takes from the release that it is like."""
    entry = table["releases"][release]
    return {**complete(table, entry["like"]), **entry} if "like" in entry else entry


def functions(table: dict, release: str) -> Iterator[tuple[str, str]]:
    """The functions of a release: names and declarations."""
    order = list(table["releases"])
    until = order[: order.index(release) + 1]
    for name, row in table["functions"].items():
        known = [text for since, text in row["declared"].items() if since in until]
        yield from ((name, text) for text in known[-1:])


def release_checks(table: dict, release: str) -> Iterator[str]:
    """All lines of one release."""
    layout = complete(table, release)
    for name, struct in layout["structs"].items():
        yield f"IS_SIZE({name}, {struct['size']});"
        yield from member_checks(name, struct["members"])
    for name, values in layout["enums"].items():
        yield f"IS_SIZE({name}, 4);"
        yield from (f"IS_VALUE({key}, {value});" for key, value in values.items())
    for name, declaration in functions(table, release):
        yield f'IS_TYPE(&{name}, "{name}", {signature(declaration)});'
    for name, declaration in layout["callbacks"].items():
        yield f'IS_TYPE(({name})0, "{name}", {signature(declaration)});'


def render(table: dict) -> str:
    """The whole file: a block for each release that is not just like another."""
    blocks = []
    for release, entry in table["releases"].items():
        lines = list(release_checks(table, release))
        if "like" not in entry or lines != list(release_checks(table, entry["like"])):
            text = "\n".join(lines)
            blocks.append(f"#if RKLLM_ABI == {abi_number(release)}\n{text}\n#endif\n")
    return "\n".join([HEAD, *blocks, FOOT])


def main() -> int:
    """Write or check the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    text = render(json.loads(TABLE.read_text()))
    if not check:
        OUTPUT.write_text(text)
    elif not OUTPUT.exists() or OUTPUT.read_text() != text:
        print(f"{OUTPUT.name} is out of date; run {Path(__file__).name}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
