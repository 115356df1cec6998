"""The host in C and the one in Python answer the same frames with the same bytes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from host_driver import HOSTS, USERDATA, Host, image, whole

from rkllm_twisted import cpu
from rkllm_twisted.abi.layouts import Layout, layout_of
from rkllm_twisted.abi.release import releases
from rkllm_twisted.abi.result_copy import CallbackCopy, ResultCopy
from rkllm_twisted.isolation.frames import AWAIT_END, CallFrame, ReturnFrame

ABIS = ["1.1.4", "1.2.0", "1.2.1", "1.3.0"]
SCRIPT = """#!rkllm-script 1
embd 4
run mode hidden
hidden 2 4
nofinish
run mode logits
logits 2 4
nofinish
run when "half"
token "\\xc3"
token "\\xa9"
finish
run when "error"
token "so far"
error
run
token "Hello"
token " world"
finish
"""
HIDDEN, LOGITS = "RKLLM_INFER_GET_LAST_HIDDEN_LAYER", "RKLLM_INFER_GET_LOGITS"
TOOLS = '[{"type": "function", "function": {"name": "f", "parameters": {}}}]'
#: Inputs of a run that has several.
BATCH = 3
#: The probe calls it: it returns by value.
NOT_THE_HOSTS = {"rkllm_createDefaultParam"}


@attrs.frozen
class Made:
    """A call of the corpus.

    :param rows: the inputs of a run; 0: it is no run.
    """

    function: str
    params: Any = ()
    rows: int = 0
    flags: int = 0


def corpus(layout: Layout, directory: Path) -> Iterator[Made]:
    """Calls of every function that a host is asked for; those that fail, too."""
    model, cache = directory / "model.script", directory / "prompt.cache"
    model.write_text(SCRIPT)
    init = {"model_path": str(model)}
    saving = {"prompt_cache_params": {"save_prompt_cache": 1, "prompt_cache_path": str(cache)}}
    keeping = {"keep_history": 1} if has(layout, "RKLLMInferParam", "keep_history") else {}
    lora = {"lora_adapter_path": "/nowhere", "lora_adapter_name": "a", "scale": 1.0}
    every = [
        Made("rkllm_init", [{"model_path": "/nowhere"}]),
        Made("rkllm_init", [init]),
        Made("rkllm_run", [{"prompt_input": "hi"}], 1),
        Made("rkllm_run", [{"prompt_input": "half"}], 1),
        Made("rkllm_run", [{"prompt_input": "error"}], 1),
        Made("rkllm_run", [{"prompt_input": "hi"}, {"mode": HIDDEN}], 1),
        Made("rkllm_run", [{"prompt_input": "hi"}, {"mode": LOGITS}], 1),
        Made("rkllm_run", [{"prompt_input": "hi"}, saving], 1),
        Made("rkllm_load_prompt_cache", [str(cache)]),
        Made("rkllm_load_prompt_cache", ["/nowhere"]),
        Made("rkllm_release_prompt_cache"),
        Made("rkllm_load_lora", [lora]),
        Made("rkllm_load_lora", [{**lora, "lora_adapter_path": str(model)}]),
        Made("rkllm_set_chat_template", ["s", "<", ">"]),
        Made("rkllm_set_function_tools", ["s", TOOLS, "<r>"]),
        Made("rkllm_run", [{"prompt_input": "hi"}, keeping], 1),
        Made("rkllm_set_cross_attn_params", [{"num_tokens": 0}]),
        Made("rkllm_get_kv_cache_size"),
        Made("rkllm_clear_kv_cache", {"keep_system_prompt": 0}),
        Made("rkllm_is_running"),
        Made("rkllm_abort"),
        # Its thread may go on for a moment after its last result: another run would be refused.
        Made("rkllm_run_async", [{"prompt_input": "hi"}], 1, AWAIT_END),
        Made("rkllm_destroy"),
    ]
    if has(layout, "RKLLMExtendParam", "n_batch"):
        prompts = [{"prompt_input": each} for each in ("hi", "error", "hi")]
        every += [
            Made("rkllm_init", [{**init, "extend_param": {"n_batch": BATCH}}]),
            Made("rkllm_run", [prompts], BATCH),
            Made("rkllm_run", [prompts, {"mode": HIDDEN}], BATCH),
            Made("rkllm_run", [prompts, {"mode": LOGITS}], BATCH),
            Made("rkllm_destroy"),
        ]
    modes = set().union(*layout.release.enums.values())
    for each in every:
        if each.function in layout.release.functions and (LOGITS in modes or not asks_logits(each)):
            yield each


def has(layout: Layout, structure: str, member: str) -> bool:
    """True if a structure of the release has a member."""
    return member in {each.name for each in layout.release.structs[structure].members}


def asks_logits(call: Made) -> bool:
    """True if a run is for logits, which older releases do not give."""
    return call.rows > 0 and {"mode": LOGITS} in call.params


def answers_of(host: Host, layout: Layout, directory: Path) -> list[Any]:
    """What a host answers to the corpus, comparable."""
    found: list[Any] = []
    for number, call in enumerate(corpus(layout, directory), 1):
        made = image(layout, call.function, call.params, rows=call.rows or 1)
        mark = b"mark %d\n" % number
        frame = CallFrame(number, call.function, made, mark, call.rows, call.flags, USERDATA)
        host.send(whole(frame))
        found += [comparable(one, layout) for one in host.until_return()]
    return found


def comparable(received: CallbackCopy | ReturnFrame, layout: Layout) -> Any:
    """What must be the same: without addresses, and without figures of time and memory."""
    if not isinstance(received, CallbackCopy):
        return received
    return received._replace(rows=tuple(masked(row, layout) for row in received.rows))


def masked(row: ResultCopy, layout: Layout) -> ResultCopy:
    """A row without its pointers and figures."""
    result = layout.structs["RKLLMResult"].from_buffer_copy(row.structure)
    result.text = None
    result.last_hidden_layer.hidden_states = None
    if hasattr(result, "logits"):
        result.logits.logits = None
    if hasattr(result, "perf"):
        ctypes.memset(ctypes.addressof(result.perf), 0, ctypes.sizeof(result.perf))
    return row._replace(structure=bytes(result))


@pytest.mark.parametrize("abi", ABIS)
def test_the_corpus_has_every_function_of_the_release(abi: str, tmp_path: Path) -> None:
    """A function that the table gains is refused here until it has a call in the corpus."""
    layout = layout_of(releases()[abi])
    asked = {call.function for call in corpus(layout, tmp_path)}
    assert asked == set(layout.release.functions) - NOT_THE_HOSTS


def test_the_corpus_is_for_every_layout() -> None:
    """So that a release that the table gains is not left out."""
    assert set(releases()) == set(ABIS)


@pytest.mark.parametrize("abi", ABIS)
def test_a_corpus_of_frames_has_the_same_answers(
    abi: str, start: Callable[..., Host], tmp_path: Path
) -> None:
    """Byte for byte, on each release: results of every mode, several rows, and what is refused."""
    layout = layout_of(releases()[abi])
    answers = []
    for name in HOSTS:
        host = start(cpu.library_path(abi), abi, name)
        found = answers_of(host, layout, tmp_path)
        code, printed = host.end()
        answers.append((found, code, [line for line in printed.split(b"\n") if b"mark" in line]))
        (tmp_path / "prompt.cache").unlink()
    assert answers[0] == answers[1]
    callbacks = [one for one in answers[0][0] if isinstance(one, CallbackCopy)]
    rows = [row for one in callbacks for row in one.rows]
    assert [row.text for row in rows][:2] == [b"Hello", b" world"]
    assert any(row.arrays[0] for row in rows)
    assert any(row.arrays[1] for row in rows) == (abi != "1.1.4")
    assert any(len(one.rows) == BATCH for one in callbacks) == (abi in ("1.2.1", "1.3.0"))
