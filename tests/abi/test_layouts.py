"""ctypes, the table and the C compiler agree on every size and offset."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import attrs
import pytest
from recording_library import compile_c, declaration

from rkllm_twisted.abi.declarations import CType
from rkllm_twisted.abi.layouts import Layout, layout_of
from rkllm_twisted.abi.release import Release, Struct
from rkllm_twisted.errors import LibraryError

HEADER = Path(__file__).parents[2] / "cpu_runtime" / "include"
#: Layout -> the number by which rkllm_cpu.h selects it.
NUMBERS = {"1.1.4": 10104, "1.2.0": 10200, "1.2.1": 10201, "1.3.0": 10300}


def test_ctypes_agrees_with_the_table(release: Release) -> None:
    """Every class has the size, and every field the offset and size, that the table states."""
    for name, made in layout_of(release).structs.items():
        struct = release.structs[name]
        assert ctypes.sizeof(made) == struct.size
        for member in struct.members:
            field = getattr(made, member.name or "_anonymous")
            assert (field.offset, field.size) == (member.offset, member.size), member


def _expressions(release: Release, struct: Struct, path: str = "") -> list[tuple[str, int, int]]:
    """List every field, with the inner ones of nameless structures, and offset and size."""
    found = []
    for member in struct.members:
        name = ".".join(filter(None, (path, member.name)))
        if "." in member.type.base:
            inner = _expressions(release, release.structs[member.type.base], name)
            found += [(n, member.offset + offset, size) for n, offset, size in inner]
        else:
            found.append((name, member.offset, member.size))
    return found


def _program(release: Release, includes: str) -> tuple[str, list[str]]:
    """Write a C program that prints the compiler's sizes and offsets beside the expected ones."""
    lines, expected = [], []
    for struct in release.structs.values():
        if "." in struct.name:
            continue
        lines.append(f'printf("{struct.name} %zu\\n", sizeof({struct.name}));')
        expected.append(f"{struct.name} {struct.size}")
        for name, offset, size in _expressions(release, struct):
            place = f"{struct.name}.{name}"
            value = f"(({struct.name} *)0)->{name}"
            lines.append(
                f'printf("{place} %zu %zu\\n", offsetof({struct.name}, {name}), sizeof({value}));'
            )
            expected.append(f"{place} {offset} {size}")
    body = "\n".join(lines)
    return f"#include <stdio.h>\n{includes}\nint main(void) {{\n{body}\nreturn 0; }}\n", expected


@pytest.mark.parametrize("release", NUMBERS, indirect=True)
def test_the_compiler_agrees_with_the_table(release: Release, tmp_path: Path) -> None:
    """The C compiler derives the same layout from the embedded runtime's header."""
    source, expected = _program(release, "#include <rkllm_cpu.h>")
    (tmp_path / "layout.c").write_text(source)
    selected = f"-DRKLLM_ABI={NUMBERS[release.name]}"
    program = str(tmp_path / "layout")
    compile_c([selected, f"-I{HEADER}", str(tmp_path / "layout.c"), "-o", program])
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    assert printed.splitlines() == expected


def test_the_recorder_declares_what_the_table_states(release: Release) -> None:
    """The recording library's declarations name the fields of the table, in its order."""
    struct = release.structs["RKLLMPromptCacheParam"]
    assert declaration(release, struct) == (
        "typedef struct { int save_prompt_cache; char *prompt_cache_path; } RKLLMPromptCacheParam;"
    )


@pytest.mark.parametrize("change", [{"offset": 8}, {"size": 8}])
def test_a_layout_that_differs_is_refused(release: Release, change: dict[str, int]) -> None:
    """The error names the structure and the field."""
    struct = release.structs["RKLLMLoraAdapter"]
    scale = attrs.evolve(struct.members[2], **change)
    wrong = attrs.evolve(struct, members=(*struct.members[:2], scale))
    altered = attrs.evolve(release, name="x", structs={**release.structs, struct.name: wrong})
    with pytest.raises(LibraryError, match="scale of RKLLMLoraAdapter"):
        layout_of(altered)


def test_an_unknown_type_is_refused(layout: Layout) -> None:
    """The table must define every type that it uses."""
    with pytest.raises(LibraryError, match="long_double"):
        layout.resolve(CType("long_double"))


def test_prototypes_follow_the_declarations(layout: Layout) -> None:
    """A function's prototype has the types that rkllm.h declares, in its order."""
    prototype = layout.prototype(layout.release.functions["rkllm_run"])
    assert prototype._restype_ is ctypes.c_int
    names = [kind.__name__ for kind in prototype._argtypes_]
    assert names == ["c_void_p", "LP_RKLLMInput", "LP_RKLLMInferParam", "c_void_p"]


def test_callbacks_return_an_int_since_1_2_1(layout: Layout) -> None:
    """Before 1.2.1 the result callback returns nothing; since then it returns an int."""
    returns = layout.callbacks["LLMResultCallback"]._restype_
    assert (returns is None) == (layout.release.name in {"1.1.4", "1.2.0"})
