"""Builds the recording library (recorder.c) for a layout, and reads its records.

The C structures are written from the same table as the ctypes classes, but laid out by the C
compiler: what it reads at a field's place is what the table's layout put there.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rkllm_twisted.abi.declarations import CType, Function
from rkllm_twisted.abi.layouts import Layout
from rkllm_twisted.abi.release import Member, Release, Struct

SOURCE = Path(__file__).with_name("recorder.c")
#: Field -> the C expression for the number of elements that it points to. ``s->`` is its structure.
LENGTHS = {
    "embed": "s->n_tokens * width",
    "input_ids": "s->n_tokens",
    "image_embed": "s->n_image * s->n_image_tokens * width",
    "video_embed": "s->n_video * s->n_frame_per_video * s->n_frame_tokens * width",
    "encoder_k_cache": "s->num_tokens * width",
    "encoder_v_cache": "s->num_tokens * width",
    "encoder_mask": "s->num_tokens",
    "encoder_pos": "s->num_tokens",
}
#: Input type -> the member of the union that is written down.
MEMBERS = {0: "prompt_input", 1: "token_input", 2: "embed_input", 3: "multimodal_input"}
WRITERS = {"float": "number", "size_t": "natural", "uint32_t": "natural"}


class Recorder:
    """An open recording library and its file.

    :param native: the ctypes library.
    """

    def __init__(self, native: Any, log: Path) -> None:
        self.native = native
        self._log = log
        assert native.recorder_open(str(log).encode()) == 0

    def reset(self) -> None:
        """Make every function succeed again, and runs give no result."""
        self.native.recorder_status(0)
        self.native.recorder_null_handle(0)
        self.native.recorder_sizes(1, 1)
        self.native.recorder_play(None, None, 0)

    def calls(self) -> list[dict[str, Any]]:
        """The calls that reached C, oldest first."""
        return [json.loads(line) for line in self._log.read_text("utf-8").split("\n")[:-1]]

    def last(self) -> dict[str, Any]:
        """The last call that reached C."""
        return self.calls()[-1]

    def play(self, layout: Layout, *results: tuple[int, dict[str, Any]]) -> None:
        """Set the results of the next runs: pairs of a state and an RKLLMResult's fields.

        A state of -1 is a FINISH without a result.
        """
        made = [layout.structs["RKLLMResult"](**fields) for _, fields in results]
        self._results = (layout.structs["RKLLMResult"] * len(made))(*made)
        self._kept = made
        self._states = (layout.resolve(CType("int")) * len(made))(*(s for s, _ in results))
        self.native.recorder_play(self._results, self._states, len(made))


def build(release: Release, folder: Path, version_text: str = "") -> Path:
    """Compile the recording library of a release.

    :param version_text: a text that the library holds, as Rockchip's does.
    """
    (folder / "layout.h").write_text(header(release))
    about = folder / "about.c"
    about.write_text(f"const char recorder_about[] = {json.dumps(version_text)};\n")
    library = folder / f"librecorder-{release.name}.so"
    # Stripped, as the vendor's is: what is left are the symbols that it exports.
    compile_c(
        ["-s", "-shared", "-fPIC", f"-I{folder}", str(SOURCE), str(about), "-o", str(library)]
    )
    return library


def compile_c(arguments: list[str]) -> None:
    """Run the C compiler."""
    options = ["-std=c11", "-Wall", "-Wno-unused-function"]
    subprocess.run(["cc", *options, *arguments], check=True)


def header(release: Release) -> str:
    """Write layout.h."""
    return "\n".join(_header(release)) + "\n"


def _header(release: Release) -> Iterator[str]:
    for name, values in release.enums.items():
        yield f"typedef enum {{ {', '.join(f'{k} = {v}' for k, v in values.items())} }} {name};"
    structs = [s for s in release.structs.values() if "." not in s.name]
    for struct in structs:
        if struct.name == "RKLLMCallback":
            yield "#define HAS_CALLBACK_STRUCTURE"
            continue
        yield declaration(release, struct)
        yield f"static void record_{struct.name}(const {struct.name} *s);"
    for callback in release.callbacks.values():
        parameters = ", ".join(_declare(p.type, p.name) for p in callback.parameters)
        yield f"typedef {callback.returns.base} (*{callback.name})({parameters});"
    for struct in structs:
        if struct.name == "RKLLMCallback":
            yield declaration(release, struct)
        else:
            yield from _record_struct(release, struct)
    for function in release.functions.values():
        yield from _record_function(release, function)


def declaration(release: Release, struct: Struct) -> str:
    """Declare a structure as C does."""
    return f"typedef {_body(release, struct)} {struct.name};"


def _body(release: Release, struct: Struct) -> str:
    members = " ".join(_member(release, member) + ";" for member in struct.members)
    return f"{'union' if struct.is_union else 'struct'} {{ {members} }}"


def _member(release: Release, member: Member) -> str:
    if "." in member.type.base:
        return f"{_body(release, release.structs[member.type.base])} {member.name or ''}"
    return _declare(member.type, member.name or "")


def _declare(kind: CType, name: str) -> str:
    return f"{kind.base} {'*' * kind.pointer}{name}{f'[{kind.length}]' if kind.length else ''}"


def _record_struct(release: Release, struct: Struct) -> Iterator[str]:
    yield f"static void record_{struct.name}(const {struct.name} *s) {{"
    yield 'if (!s) { fputs("null", out); return; }'
    yield from _record_members(release, struct, "s")
    yield "}"


def _record_members(release: Release, struct: Struct, place: str) -> Iterator[str]:
    """Write ``{"_": 0, "field": …}``."""
    yield r'fputs("{\"_\":0", out);'
    for member in struct.members:
        if member.name is None:
            union = release.structs[member.type.base]
            for number, chosen in MEMBERS.items():
                inner = next(m for m in union.members if m.name == chosen)
                yield f"if ({place}->input_type == {number}) {{"
                yield from _record_member(release, inner, place)
                yield "}"
        else:
            yield from _record_member(release, member, place)
    yield "fputc('}', out);"


def _record_member(release: Release, member: Member, place: str) -> Iterator[str]:
    yield f'name("{member.name}");'
    if "." in member.type.base:
        inner = release.structs[member.type.base]
        yield f"{{ const __typeof__({place}->{member.name}) *p = &{place}->{member.name};"
        yield from (line.replace("s->", "p->") for line in _record_members(release, inner, "p"))
        yield "}"
    else:
        yield _record_value(release, member.type, member.name or "", f"{place}->{member.name}")


def _record_value(release: Release, kind: CType, name: str, place: str, length: str = "0") -> str:
    sort = release.sort_of(kind)
    if sort == "string":
        return f"text({place});"
    if sort == "structure":
        return f"record_{kind.base}(&{place});"
    if sort == "pointer":
        return f"record_{kind.base}({place});"
    if sort == "array":
        return f"bytes({place}, {kind.length});"
    if sort == "numbers":
        length = LENGTHS.get(name, length)
        if not any(m.name == "n_image" for s in release.structs.values() for m in s.members):
            length = length.replace("s->n_image * ", "")
        return f"{'numbers' if kind.base == 'float' else 'wholes'}({place}, {length});"
    return f"{WRITERS.get(kind.base, 'whole')}({place});"


def _record_function(release: Release, function: Function) -> Iterator[str]:
    parameters = ", ".join(_declare(p.type, p.name) for p in function.parameters) or "void"
    yield f"{function.returns.base} {function.name}({parameters}) {{"
    if function.name == "rkllm_createDefaultParam":
        yield from _default_param(release)
        return
    yield f'begin("{function.name}");'
    for parameter in function.parameters:
        if parameter.type.base in {"RKLLMCallback", "LLMResultCallback"}:
            continue
        yield f'name("{parameter.name}");'
        if parameter.name in {"handle", "userdata"}:
            yield f"natural((uintptr_t){parameter.name});"
        elif parameter.output:
            count = "batch" if parameter.per_row else "1"
            yield f"for (int i = 0; i < {count}; i++) {parameter.name}[i] = 100 + i;"
            yield 'fputs("0", out);'
        else:
            per_row = "batch" if parameter.per_row else "0"
            yield _record_value(release, parameter.type, parameter.name, parameter.name, per_row)
        if parameter.name == "rkllm_input":
            yield "name(\"rows\"); fputc('[', out);"
            yield "for (int i = 0; i < batch; i++) {"
            yield "if (i) fputc(',', out);"
            yield "record_RKLLMInput(&rkllm_input[i]); }"
            yield "fputc(']', out);"
    yield {
        "rkllm_init": "init(handle, (const void *)(uintptr_t)callback); return end(); }",
        "rkllm_run": "end(); run(userdata); return status; }",
        "rkllm_run_async": "end(); run(userdata); return status; }",
        "rkllm_is_running": "end(); return running; }",
    }.get(function.name, "return end(); }")


def _default_param(release: Release) -> Iterator[str]:
    """Give every field of the default RKLLMParam a value of its own, as the real ones lie."""
    extend = {"enabled_cpus_num": "4", "enabled_cpus_mask": "0xF0", "n_batch": "1"}
    yield "RKLLMParam p; memset(&p, 0, sizeof p);"
    yield "p.max_context_len = 512; p.max_new_tokens = 256; p.top_k = 40; p.top_p = 0.9f;"
    yield "p.temperature = 0.8f; p.repeat_penalty = 1.1f; p.skip_special_token = true;"
    yield "p.mirostat_tau = 5; p.mirostat_eta = 0.1f;"
    for member in release.structs["RKLLMParam"].members:
        if (member.name or "").startswith("img_"):
            yield f'p.{member.name} = "<{member.name}>";'
    for member in release.structs["RKLLMExtendParam"].members:
        if member.name in extend:
            yield f"p.extend_param.{member.name} = {extend[member.name]};"
    yield "return p; }"
