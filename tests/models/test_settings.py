"""``rkllm.toml``: the valid settings, and the messages for errors."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.abi.prepare import prepare
from rkllm_twisted.abi.release import release_for, releases
from rkllm_twisted.chat.families import ImageMarks, InfillMarks
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.models.setting_rules import AdapterFile
from rkllm_twisted.models.settings import MAX_SETTINGS_BYTES, ModelSettings, read_settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WHOLE = """
kind = "vision"
family = "qwen2"
template = "own.jinja"
aliases = ["qwen", "gpt-4o-mini"]
capabilities = ["tools"]
pooling = "last"
base_domain_id = 1
end_tokens = [151645, "<|im_end|>"]

[adapters.docs]
file = "docs-lora.gguf"
scale = 0.5

[adapters.plain]
file = "plain-lora.gguf"

[infill]
prefix = "<fim_prefix>"
suffix = "<fim_suffix>"
middle = "<fim_middle>"
suffix_first = true

[image]
start = "<|vision_start|>"
content = "<|image_pad|>"
end = "<|vision_end|>"

[param]
max_context_len = 4096
top_k = 1
skip_special_token = true

[param.extend_param]
embed_flash = 1

[sampling]
temperature = 0.5
"""


def read(text: str | bytes, release: str = "1.3.0") -> ModelSettings:
    data = text if isinstance(text, bytes) else text.encode()
    return read_settings("/m/rkllm.toml", data, layout_of(release_for(release)))


def error_of(text: str | bytes, release: str = "1.3.0") -> InvalidParams:
    with pytest.raises(InvalidParams) as caught:
        read(text, release)
    return caught.value


def test_an_empty_file_says_nothing() -> None:
    assert read("# later\n") == ModelSettings()


def test_every_key_is_read() -> None:
    assert read(WHOLE) == ModelSettings(
        kind="vision",
        family="qwen2",
        template="own.jinja",
        aliases=("qwen", "gpt-4o-mini"),
        capabilities=("tools",),
        pooling="last",
        end_tokens=(151645, "<|im_end|>"),
        adapters={
            "docs": AdapterFile("docs-lora.gguf", 0.5),
            "plain": AdapterFile("plain-lora.gguf"),
        },
        infill=InfillMarks("<fim_prefix>", "<fim_suffix>", "<fim_middle>", True),
        image=ImageMarks("<|vision_start|>", "<|image_pad|>", "<|vision_end|>"),
        param={
            "max_context_len": 4096,
            "top_k": 1,
            "skip_special_token": True,
            "extend_param": {"base_domain_id": 1, "embed_flash": 1},
        },
        sampling={"temperature": 0.5},
    )


@pytest.mark.parametrize("release", releases())
def test_every_field_of_the_release_may_be_set(release: str) -> None:
    samples = {"int32_t": "1", "int8_t": "1", "uint8_t": "1", "uint32_t": "1"} | {
        "float": "0.5",
        "bool": "true",
        "char": '"x"',
    }
    structs = releases()[release].structs
    lines = []
    for table, name in (("param", "RKLLMParam"), ("param.extend_param", "RKLLMExtendParam")):
        lines.append(f"[{table}]")
        lines += [
            f"{member.name} = {samples[member.type.base]}"
            for member in structs[name].members
            if member.name not in ("model_path", "reserved", "extend_param")
        ]
    settings = read("\n".join(lines), release)
    assert len(settings.param) == len(structs["RKLLMParam"].members) - 1


WRONG: Mapping[str, str] = {
    "a value of another type": "top_p = 'much'",
    "a number that is too large": "top_k = 99999999999",
    "a fraction": "top_k = 1.5",
    "no number": "top_p = nan",
    "a field that is not known": "top_q = 1",
    "a field of another release": "img_start = 'x'",
    "a date": "top_k = 2020-01-01",
    "a structure that is none": "extend_param = 3",
    "a field in a structure": "extend_param = {n_batch = 300}",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_parameter_has_the_error_of_an_init_after_the_files_name(wrong: str) -> None:
    error = error_of(f"[param]\n{WRONG[wrong]}")
    layout = layout_of(release_for("1.3.0"))
    param = {"model_path": "x", **tomllib.loads(WRONG[wrong])}
    with pytest.raises(InvalidParams) as of_init:
        prepare(layout, bytes(4096), "rkllm_init", {"param": param})
    assert error.message == f"/m/rkllm.toml: {of_init.value.message}"
    assert error.data == {
        "file": "/m/rkllm.toml",
        "parameters": [(of_init.value.data or {})["parameter"]],
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind = 'chatty'", "kind: must be one of chat, vision, embedding, rerank, not 'chatty'."),
        ("kind = 1", "kind: must be one of chat, vision, embedding, rerank, not a number."),
        ("pooling = 'max'", "pooling: must be one of last, mean, cls, not 'max'."),
        ("family = 'qwen99'", "family: must be one of chatml, qwen2,"),
        ("aliases = 'x'", "aliases: must be an array, not a string."),
        ("aliases = ['a', '../b']", "aliases[1]: is no name that a request could have."),
        ("aliases = ['']", "aliases[0]: is empty."),
        ("aliases = [1]", "aliases[0]: must be a string, not a number."),
        (f"aliases = {['a'] * 65}", "aliases: has 65 elements; 64 are the limit."),
        ("end_tokens = [-1]", "end_tokens[0]: is below 0, and tokens count from 0."),
        ("end_tokens = [1.5]", "end_tokens[0]: must be a whole number (int32_t)"),
        ("end_tokens = ['']", "end_tokens[0]: is empty."),
        ("infill.prefix = 'a'", "infill: must be a table with prefix and suffix, and perhaps"),
        ("infill = {prefix = '', suffix = 'b'}", "infill.prefix: is empty."),
        ("infill = {prefix = 'a', suffix = 1}", "infill.suffix: must be"),
        (
            "infill = {prefix = 'a', suffix = 'b', suffix_first = 1}",
            "infill.suffix_first: must be true or false, not",
        ),
        ("capabilities = ['fly']", "capabilities[0]: must be one of completion, tools,"),
        ("template = 'a/b.jinja'", "template: must be the name of a file beside the model"),
        ("template = '..'", "template: must be the name of a file beside the model"),
        ("image = {begin = 'x'}", "image: must be a table with start, content, end."),
        ("image = {start = 1}", "image.start: must be a string, not a number."),
        ("adapters = ['x.gguf']", "adapters: must be a table of at most 64 tables, by name."),
        ("adapters = {a = 'x'}", "adapters.a: must be a table with file, and perhaps scale."),
        ("adapters.a.scale = 1", "adapters.a: must be a table with file, and perhaps scale."),
        ("adapters.a.file = '../x'", "adapters.a.file: must be the name of a file beside the"),
        (
            "adapters.a = {file = 'x', scale = 'y'}",
            "adapters.a.scale: must be a number, not a string.",
        ),
        ("base_domain_id = 'x'", "base_domain_id: must be a whole number (int32_t)"),
        ("param = 1", "param: must be a table with fields of RKLLMParam."),
        ("[param]\nmodel_path = 'x'", "param.model_path: is the file beside this one; leave it"),
        ("alias = ['x']", "alias: is no key of rkllm.toml; perhaps aliases is meant."),
        ("top_p = 1.0", "top_p: belongs below [param], as a field of RKLLMParam: param.top_p."),
        ("topk = 1", "topk: is no key of rkllm.toml; perhaps param.top_k is meant."),
        ("zzzzzz = 1", "zzzzzz: is no key of rkllm.toml; there are kind, family,"),
        (
            "base_domain_id = 1\nparam = {extend_param = {base_domain_id = 1}}",
            "base_domain_id: stands in param.extend_param, too; leave one of them out.",
        ),
        ("kind = ", "It is not TOML:"),
        (b"\xff", "It is not TOML:"),
        ("kind = 'chat'\nkind = 'chat'", "It is not TOML:"),
        ("x = " + "[" * 5000, "It is not TOML:"),
        ("#" * (MAX_SETTINGS_BYTES + 1), "It is larger than 262144 bytes."),
    ],
)
def test_an_error_names_the_file_the_key_and_what_is_right(text: str | bytes, words: str) -> None:
    assert error_of(text).message.startswith(f"/m/rkllm.toml: {words}")


def test_sampling_needs_a_release_that_has_it() -> None:
    assert error_of("sampling = {top_k = 1}", "1.2.3").message == (
        "/m/rkllm.toml: sampling: is not in release 1.2.1, which is loaded, but in 1.3.0; use"
        " param."
    )


def test_all_errors_of_a_file_are_told_at_once() -> None:
    error = error_of(
        "kind = 1\nunknown = 2\n[param]\ntop_k = 'x'\ntop_q = 1\n"
        "[param.extend_param]\nn_batch = 1000\nembed_flash = 'x'\n[sampling]\ntop_p = true"
    )
    assert (error.data or {})["parameters"] == [
        "kind",
        "unknown",
        "param.top_k",
        "param.top_q",
        "param.extend_param.n_batch",
        "param.extend_param.embed_flash",
        "sampling.top_p",
    ]
    assert error.message.count("/m/rkllm.toml: ") == 7


def test_an_unknown_key_of_any_length_makes_a_short_error() -> None:
    assert len(error_of(f"{'k' * 5000} = 1").message) < 400


KEYS = st.sampled_from(
    ["kind", "aliases", "param", "sampling", "image", "end_tokens", "pooling", "x", "extend_param"]
)
TEXTS = st.sampled_from(["", "chat", "..", "last", "a\0b", "\ud800"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_whatever_the_values_are_there_are_settings_or_an_error(values: dict[str, object]) -> None:
    from rkllm_twisted.models import settings

    layout = layout_of(release_for("1.3.0"))
    errors = list(settings._errors(values, layout))
    if not errors:
        assert isinstance(settings._settings(values), ModelSettings)
