"""C receives the values of the JSON, for every function of every layout."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recording_library import Recorder
from strategies import WIDTH, structures

from rkllm_twisted.abi.release import Release, releases
from rkllm_twisted.errors import InvalidParams, NotInRelease

Call = Callable[..., Mapping[str, Any]]
LoadedWith = Callable[[Release], tuple[Call, Recorder]]

#: The handle that the recorder gives.
HANDLE = 0x5EED
#: Every fixture is made once for all examples of a property, which only adds to what is recorded.
SHARED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TEMPLATE = {"system_prompt": "Be “brief”.\n", "prompt_prefix": None, "prompt_postfix": "\t</s>"}
TOOLS = [{"name": "weather", "place": "Zürich"}]
#: Function -> parameters by name, and what the recorder writes for them if it is not the same.
PLAIN: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "rkllm_release_prompt_cache": ({}, {}),
    "rkllm_abort": ({}, {}),
    "rkllm_is_running": ({}, {}),
    "rkllm_destroy": ({}, {}),
    "rkllm_clear_kv_cache": ({"keep_system_prompt": 1}, {}),
    "rkllm_get_kv_cache_size": ({}, {}),
    "rkllm_set_chat_template": (TEMPLATE, {}),
    "rkllm_set_function_tools": (
        {"system_prompt": "s", "tools": TOOLS, "tool_response_str": "<r>"},
        {"tools": '[{"name":"weather","place":"Zürich"}]'},
    ),
}


def same(sent: Any, recorded: Any) -> bool:
    """Compare the sent value with C's record; floats by their float32."""
    if isinstance(sent, Mapping):
        # Reserved bytes that are not sent are zeros.
        present = {k: v for k, v in sent.items() if k != "reserved" or v is not None}
        return all(same(value, recorded[name]) for name, value in present.items())
    if isinstance(sent, list):
        return len(sent) == len(recorded) and all(map(same, sent, recorded))
    if isinstance(sent, float):
        return struct.pack("<f", sent) == struct.pack("<f", recorded)
    return bool(sent == recorded)


def numbered(release: Release, value: Any) -> Any:
    """The same value with the names of enums replaced by their numbers."""
    if isinstance(value, Mapping):
        return {name: numbered(release, item) for name, item in value.items()}
    for names in release.enums.values():
        if isinstance(value, str) and value in names:
            return names[value]
    return value


def assert_recorded(release: Release, last: Mapping[str, Any], name: str, sent: Any) -> None:
    """Every field that was sent is in the record."""
    expected = numbered(release, sent)
    assert same(expected, last[name]), (expected, last[name])


def drawn(release: Release, name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Values for a structure."""
    return structures(release, release.structs[name])


@pytest.mark.parametrize("abi", ["1.1.4", "1.2.0", "1.2.1", "1.3.0"])
def test_every_function_is_recorded(abi: str) -> None:
    """No function of these releases is left out of the tests below."""
    structured = {"rkllm_init", "rkllm_run", "rkllm_run_async", "rkllm_load_lora"}
    structured |= {"rkllm_set_cross_attn_params", "rkllm_load_prompt_cache"}
    assert (
        structured | PLAIN.keys() | {"rkllm_createDefaultParam"} >= releases()[abi].functions.keys()
    )


@pytest.mark.parametrize("function", PLAIN)
def test_functions_without_structures(
    loaded: Call, recorder: Recorder, release: Release, function: str
) -> None:
    """The handle and each argument arrive under their C names, where the release has them."""
    sent, otherwise = PLAIN[function]
    if function not in release.functions:
        with pytest.raises(NotInRelease, match=f"{release.name}, which has no {function}"):
            loaded(function, sent)
        return
    loaded(function, sent)
    expected = {"function": function, "handle": HANDLE, **sent, **otherwise}
    assert same(expected, recorder.last())


def test_init(call: Call, recorder: Recorder, release: Release, model_file: str) -> None:
    """Every field of RKLLMParam arrives."""

    @SHARED
    @given(drawn(release, "RKLLMParam"))
    def holds(param: dict[str, Any]) -> None:
        sent = {**param, "model_path": model_file}
        call("rkllm_init", {"param": sent})
        assert_recorded(release, recorder.last(), "param", sent)

    holds()


def test_a_field_left_out_of_init_has_the_librarys_default(
    call: Call, recorder: Recorder, model_file: str
) -> None:
    """Omitted fields have the values of rkllm_createDefaultParam."""
    default = call("rkllm_createDefaultParam")
    call("rkllm_init", [{"model_path": model_file, "top_k": 7}])
    expected = {**default, "model_path": model_file, "top_k": 7, "extend_param": {}}
    assert same(expected, recorder.last()["param"])
    extend = {name: item for name, item in default["extend_param"].items() if name != "reserved"}
    assert same(extend, recorder.last()["param"]["extend_param"])


@pytest.mark.parametrize("function", ["rkllm_run", "rkllm_run_async"])
def test_runs(
    loaded: Call, recorder: Recorder, release: Release, function: str, tmp_path: Path
) -> None:
    """Input and inference parameters arrive, with all that they point to."""

    @SHARED
    @given(drawn(release, "RKLLMInput"), drawn(release, "RKLLMInferParam"))
    def holds(given_input: dict[str, Any], infer: dict[str, Any]) -> None:
        if infer["prompt_cache_params"]:
            infer["prompt_cache_params"]["prompt_cache_path"] = str(tmp_path / "cache.bin")
        recorder.native.recorder_sizes(WIDTH, 1)
        loaded(function, [given_input, infer])
        last = recorder.last()
        # rkllm_run does both, unless the daemon was told otherwise.
        assert (last["function"], last["handle"]) == ("rkllm_run", HANDLE)
        assert_recorded(release, last, "rkllm_input", given_input)
        if cache := infer["prompt_cache_params"]:
            # C writes to a temporary place first; test_atomic_save.py tests the rest.
            written = last["rkllm_infer_params"]["prompt_cache_params"]["prompt_cache_path"]
            assert re.fullmatch(r"/proc/self/fd/[0-9]+/cache\.bin", written)
            cache["prompt_cache_path"] = written
        assert_recorded(release, last, "rkllm_infer_params", infer)

    holds()


def test_a_run_without_inference_parameters(loaded: Call, recorder: Recorder) -> None:
    """C gets zeros: the mode "generate", and no kept history."""
    loaded("rkllm_run", [{"prompt_input": "hi"}, None])
    assert not any(recorder.last()["rkllm_infer_params"].values())


def test_load_lora(loaded: Call, recorder: Recorder, release: Release, model_file: str) -> None:
    """Every field of RKLLMLoraAdapter arrives."""

    @SHARED
    @given(drawn(release, "RKLLMLoraAdapter"))
    def holds(adapter: dict[str, Any]) -> None:
        sent = {**adapter, "lora_adapter_path": model_file}
        loaded("rkllm_load_lora", [sent])
        assert_recorded(release, recorder.last(), "lora_adapter", sent)

    holds()


def test_load_prompt_cache(loaded: Call, recorder: Recorder, model_file: str) -> None:
    """The path arrives."""
    loaded("rkllm_load_prompt_cache", [None, model_file])
    assert recorder.last()["prompt_cache_path"] == model_file


@pytest.mark.parametrize("abi", ["1.2.1", "1.3.0"])
def test_cross_attention(abi: str, loaded_with: LoadedWith) -> None:
    """Every array of RKLLMCrossAttnParam arrives."""
    release = releases()[abi]
    loaded, recorder = loaded_with(release)

    @SHARED
    @given(drawn(release, "RKLLMCrossAttnParam"))
    def holds(value: dict[str, Any]) -> None:
        recorder.native.recorder_sizes(WIDTH, 1)
        loaded("rkllm_set_cross_attn_params", [value])
        assert_recorded(release, recorder.last(), "cross_attn_params", value)

    holds()


def test_sampling_parameters_left_out_are_those_of_init(
    loaded_with: LoadedWith, model_file: str
) -> None:
    """A run that sets the temperature keeps the rest as the model was loaded with."""
    call, recorder = loaded_with(releases()["1.3.0"])
    call("rkllm_init", [{"model_path": model_file, "top_k": 3, "repeat_penalty": 1.25}])
    infer = {"sampling_params": {"temperature": 0.25}}
    call("rkllm_run", [{"prompt_input": "hi"}, infer])
    expected = {"temperature": 0.25, "top_k": 3, "repeat_penalty": 1.25, "mirostat_tau": 5.0}
    assert same(expected, recorder.last()["rkllm_infer_params"]["sampling_params"])


@pytest.mark.parametrize("tools", [{"a": 1}, [], '[{"name": "as it is"}]'])
@pytest.mark.parametrize("abi", ["1.2.1", "1.3.0"])
def test_tools_as_json_or_as_text(abi: str, tools: Any, loaded_with: LoadedWith) -> None:
    """Tools may be JSON itself, or a string with it, which arrives as it is."""
    loaded, recorder = loaded_with(releases()[abi])
    loaded("rkllm_set_function_tools", ["s", tools, "r"])
    text = {str: tools, dict: '{"a":1}', list: "[]"}[type(tools)]
    assert recorder.last()["tools"] == text


@pytest.mark.parametrize("tools", ["not JSON", "[{]", ""])
def test_tools_that_are_not_json_are_refused_at_once(tools: str, loaded_with: LoadedWith) -> None:
    """The library would take them, and the model would not understand them."""
    loaded, _ = loaded_with(releases()["1.3.0"])
    with pytest.raises(InvalidParams, match="tools: must be JSON"):
        loaded("rkllm_set_function_tools", ["s", tools, "r"])
