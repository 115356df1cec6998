"""C in another process gets the same arguments, and gives the same results, as C in this one."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from framed_caller import FramedCaller
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recording_library import Recorder
from strategies import WIDTH, structures

from rkllm_twisted.abi.image import NUMBER_BYTES, ArgumentPlace, image_of
from rkllm_twisted.abi.layouts import Layout, layout_of
from rkllm_twisted.abi.prepare import prepare
from rkllm_twisted.abi.release import Release, releases
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.runtime.library import open_file
from rkllm_twisted.runtime.local_caller import LocalCaller
from rkllm_twisted.runtime.runtime import Runtime
from rkllm_twisted.values import RuntimeVersion

SHARED = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
#: Function -> the parameters that are structures.
STRUCTURED = {
    "rkllm_init": {"param": "RKLLMParam"},
    "rkllm_run": {"rkllm_input": "RKLLMInput", "rkllm_infer_params": "RKLLMInferParam"},
    "rkllm_load_lora": {"lora_adapter": "RKLLMLoraAdapter"},
    "rkllm_set_cross_attn_params": {"cross_attn_params": "RKLLMCrossAttnParam"},
}
PLAIN: Mapping[str, dict[str, Any]] = {
    "rkllm_set_chat_template": {"system_prompt": "“s”", "prompt_prefix": "", "prompt_postfix": "p"},
    "rkllm_set_function_tools": {"system_prompt": "s", "tools": "[]", "tool_response_str": "<r>"},
    "rkllm_clear_kv_cache": {"keep_system_prompt": 1},
    "rkllm_get_kv_cache_size": {},
    "rkllm_release_prompt_cache": {},
    "rkllm_destroy": {},
}
Perform = Callable[[str, Any], tuple[Any, list[Any]]]


@pytest.fixture
def both(library: Path, recorder: Recorder, layout: Layout, model_file: str) -> list[Perform]:
    """A runtime that calls C, and one that does so through frames; a model is loaded in both."""
    release = layout.release
    opened = open_file(str(library), None, {}, releases())
    local = LocalCaller(opened, layout)
    version = RuntimeVersion(str(library), None, release.name, "", "npu")
    callers = [local, FramedCaller(opened.native, layout, local)]
    return [
        performing(Runtime(each, layout, version, files=Files()), model_file) for each in callers
    ]


def performing(runtime: Runtime, model_file: str) -> Perform:
    """A function that makes a call, and returns its outputs and the results that came."""
    runtime.perform(runtime.prepare("rkllm_init", [{"model_path": model_file}]))

    def perform(function: str, params: Any) -> tuple[Any, list[Any]]:
        results: list[Any] = []
        on_results = results.extend if function == "rkllm_run" else None
        outputs = runtime.perform(runtime.prepare(function, params), on_results)
        return outputs, [dict(result) for result in results]

    return perform


def with_files(value: Any, model_file: str, cache: str) -> Any:
    """The same, with files that exist."""
    if not isinstance(value, Mapping):
        return value
    known = {"model_path": model_file, "lora_adapter_path": model_file, "prompt_cache_path": cache}
    return {
        name: known.get(name, with_files(item, model_file, cache)) for name, item in value.items()
    }


@pytest.mark.parametrize("function", [*STRUCTURED, *PLAIN])
def test_c_gets_the_same_arguments(
    both: list[Perform],
    recorder: Recorder,
    release: Release,
    model_file: str,
    tmp_path: Path,
    function: str,
) -> None:
    """Every pointer arrives, in every structure of every release."""
    if function not in release.functions:
        return
    names = STRUCTURED.get(function, {})
    drawn = {name: structures(release, release.structs[made]) for name, made in names.items()}

    @SHARED
    @given(st.fixed_dictionaries(drawn) if drawn else st.just(PLAIN.get(function, {})))
    def holds(params: dict[str, Any]) -> None:
        recorder.native.recorder_sizes(WIDTH, 1)
        sent = with_files(params, model_file, str(tmp_path / "cache"))
        records = []
        for perform in both:
            perform(function, sent)
            records.append(without_numbers(recorder.last()))
        assert records[0] == records[1]
        if function == "rkllm_destroy":  # the next example needs a model
            for perform in both:
                perform("rkllm_init", [{"model_path": model_file}])

    holds()


def without_numbers(record: Any) -> Any:
    """A record without the numbers of runs and of descriptors, and addresses."""
    if isinstance(record, Mapping):
        rest = {name: without_numbers(item) for name, item in record.items()}
        init = {"handle"} if record.get("function") == "rkllm_init" else set()
        return {name: item for name, item in rest.items() if name not in {"userdata"} | init}
    is_path = isinstance(record, str) and record.startswith("/proc/self/fd/")
    return record.rpartition("/")[2] if is_path else record


def results_of(perform: Perform, model_file: str) -> list[Any]:
    """The results of a run. The recorder calls back whoever has loaded last."""
    perform("rkllm_init", [{"model_path": model_file}])
    return perform("rkllm_run", [{"prompt_input": "hi"}])[1]


RESULTS: list[tuple[int, dict[str, Any]]] = [
    (0, {"text": b"Hello", "token_id": 1}),
    (0, {"text": "é".encode()[:1], "token_id": 2}),
    (1, {"text": "é".encode()[1:], "token_id": 3}),
    (0, {"text": None, "token_id": -1}),
    (-1, {}),
]


def test_the_results_are_the_same(
    both: list[Perform], recorder: Recorder, layout: Layout, model_file: str
) -> None:
    """Texts, half characters, NULL and no result at all."""
    recorder.play(layout, *RESULTS)
    here, framed = [results_of(perform, model_file) for perform in both]
    assert here == framed
    assert len(here) == len(RESULTS)


@pytest.mark.parametrize("abi", ["1.1.4", "1.2.0", "1.2.1", "1.3.0"])
def test_arrays_of_results_are_the_same(
    abi: str, recording_libraries: Callable[[Release], Path], model_file: str, tmp_path: Path
) -> None:
    """Hidden states, and logits where the release has them."""
    layout = layout_of(releases()[abi])
    library = recording_libraries(layout.release)
    recorder = Recorder(ctypes.CDLL(str(library)), tmp_path / "recorded")
    numbers = (ctypes.c_float * 6)(*range(6))
    structs = layout.structs
    pointer = ctypes.cast(numbers, ctypes.POINTER(ctypes.c_float))
    hidden = structs["RKLLMResultLastHiddenLayer"](pointer, embd_size=3, num_tokens=2)
    played: list[tuple[int, dict[str, Any]]] = [(0, {"last_hidden_layer": hidden})]
    if "RKLLMResultLogits" in structs:
        logits = structs["RKLLMResultLogits"](pointer, vocab_size=2, num_tokens=3)
        played.append((0, {"last_hidden_layer": hidden, "logits": logits}))
    recorder.play(layout, *played)
    opened = open_file(str(library), None, {}, releases())
    local = LocalCaller(opened, layout)
    version = RuntimeVersion(str(library), None, abi, "", "npu")
    callers = [local, FramedCaller(opened.native, layout, local)]
    both = [performing(Runtime(each, layout, version), model_file) for each in callers]
    here, framed = [results_of(perform, model_file) for perform in both]
    assert here == framed
    assert here[-1]["last_hidden_layer"]["hidden_states"].shape == (2, 3)


def test_a_descriptors_number_is_left_to_the_other_process() -> None:
    """A path that names no descriptor of the call stays as it is."""
    layout = layout_of(releases()["1.3.0"])
    function = layout.release.functions["rkllm_load_prompt_cache"]
    for number, expected in ((17, True), (18, False)):
        path = b"/proc/self/fd/%d/cache" % number
        image = image_of(layout, function, [None, path], descriptors=[17])
        block = b"".join(image.segments)
        at = len(b"/proc/self/fd/")
        assert (ArgumentPlace.DESCRIPTOR in {one.place for one in image.relocations}) is expected
        assert (block[at : at + NUMBER_BYTES] == b"/" * NUMBER_BYTES) is expected


def test_a_large_array_is_not_copied() -> None:
    """It is a segment of its own: the memory of the prepared call."""
    layout = layout_of(releases()["1.3.0"])
    embed = [0.5] * 65536
    params = {
        "rkllm_input": {
            "input_type": "RKLLM_INPUT_EMBED",
            "embed_input": {"embed": embed, "n_tokens": 1},
        }
    }
    call = prepare(layout, bytes(184), "rkllm_run", params)
    values = [None, call.arguments["rkllm_input"], call.arguments["rkllm_infer_params"], 1]
    image = image_of(layout, call.function, values, call.alive)
    [large] = [one for one in image.segments if len(one) >= 4 * len(embed)]
    assert isinstance(large, memoryview)
    assert large.obj in call.alive
