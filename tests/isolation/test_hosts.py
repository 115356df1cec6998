"""The host in C and the one in Python, each alone: descriptors, damage, signals, what they say."""

from __future__ import annotations

import itertools
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from host_driver import HOSTS, TIMEOUT_S, USERDATA, Host, compiled, image, whole

from rkllm_twisted import cpu
from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.abi.release import releases
from rkllm_twisted.abi.result_copy import CallbackCopy
from rkllm_twisted.isolation import config
from rkllm_twisted.isolation.frames import (
    HEADER,
    CallFrame,
    FrameKind,
    ReturnFrame,
    signal_frame,
)

#: Makes a run of a prompt.
Run = Callable[[str], list[CallbackCopy | ReturnFrame]]

SCRIPT = """#!rkllm-script 1
run when "endless"
delay 20
repeat 1000000 token "x"
finish
run
token "Hello"
token " world"
finish
"""
#: A library that hangs while it is loaded.
LOADS_AFTER_A_LINE = """#include <unistd.h>
__attribute__((constructor)) static void hang(void) {
    if (write(1, "loading\\n", 8) == 8) pause();
}
"""


@pytest.mark.parametrize("name", HOSTS)
def test_an_abort_ends_the_run_of_its_number_only(
    name: str, start: Callable[..., Host], tmp_path: Path
) -> None:
    """One for an earlier call, which has come late, does nothing."""
    model = tmp_path / "model.script"
    model.write_text(SCRIPT)
    layout = layout_of(releases()["1.3.0"])
    host = start(cpu.library_path("1.3.0"), "1.3.0", name)
    frames = [
        CallFrame(1, "rkllm_init", image(layout, "rkllm_init", [{"model_path": str(model)}])),
        CallFrame(
            2,
            "rkllm_run",
            image(layout, "rkllm_run", [{"prompt_input": "endless"}]),
            rows=1,
            userdata=USERDATA,
        ),
    ]
    for frame in frames:
        host.send(whole(frame))
    host.until_return()
    host.send(signal_frame(FrameKind.ABORT, 1))
    for _ in range(5):
        assert not any(isinstance(one, ReturnFrame) for one in host.receive())
    host.send(signal_frame(FrameKind.ABORT, 2))
    assert any(one == ReturnFrame(2, 0, True) for one in host.until_return())


@pytest.mark.parametrize("name", HOSTS)
def test_a_descriptor_is_opened_by_the_number_that_it_has_here(
    name: str, start: Callable[..., Host], tmp_path: Path
) -> None:
    """The library opens the model through it."""
    model = tmp_path / "model.script"
    model.write_text(SCRIPT)
    layout = layout_of(releases()["1.3.0"])
    host = start(cpu.library_path("1.3.0"), "1.3.0", name)
    with model.open() as opened:
        path = f"/proc/self/fd/{opened.fileno()}"
        made = image(layout, "rkllm_init", [{"model_path": path}], [opened.fileno()])
        frame = CallFrame(1, "rkllm_init", made)
        host.send(whole(frame), [opened.fileno()])
    assert host.until_return() == [ReturnFrame(1, 0, True)]


@pytest.mark.parametrize("data", [b"x" * 24, b"\1" + bytes(15) + b"\x10" + bytes(7) + bytes(16)])
@pytest.mark.parametrize("name", HOSTS)
def test_damaged_frames_end_the_host(name: str, data: bytes, start: Callable[..., Host]) -> None:
    """It does not guess."""
    host = start(cpu.library_path("1.3.0"), "1.3.0", name)
    host.send(data)
    assert host.process.wait(TIMEOUT_S) in (0, 1)


@pytest.mark.parametrize("name", HOSTS)
def test_a_call_that_is_longer_than_its_parts_ends_the_host(
    name: str, start: Callable[..., Host]
) -> None:
    """Without its last bytes it would be one."""
    layout = layout_of(releases()["1.3.0"])
    host = start(cpu.library_path("1.3.0"), "1.3.0", name)
    frame = whole(CallFrame(1, "rkllm_destroy", image(layout, "rkllm_destroy", [])))
    body = frame[HEADER.size :] + bytes(8)
    host.send(HEADER.pack(FrameKind.CALL, 0, 1, len(body)) + body)
    assert host.process.wait(TIMEOUT_S) in (0, 1)


@pytest.mark.parametrize("name", HOSTS)
def test_a_library_that_cannot_be_loaded_is_said(name: str, start: Callable[..., Host]) -> None:
    """On stderr, which is the daemon's log."""
    host = start(Path("/nowhere.so"), "1.3.0", name)
    code, printed = host.end()
    assert code == 1
    assert b"cannot be loaded" in printed


@pytest.mark.parametrize("name", HOSTS)
def test_a_processor_that_does_not_exist_is_said(name: str, start: Callable[..., Host]) -> None:
    """With the option that names it."""
    host = start(cpu.library_path("1.3.0"), "1.3.0", name, cpus=(1023,))
    code, printed = host.end()
    assert (code, printed[:20]) == (1, b"E host: --child-cpus")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", HOSTS)
def test_a_signal_to_the_whole_group_does_not_end_the_host(
    name: str, number: signal.Signals, start: Callable[..., Host]
) -> None:
    """The daemon gets it, too, lets the run end, and ends the host."""
    host = start(cpu.library_path("1.3.0"), "1.3.0", name)
    assert os.read(host.heartbeat, 1) == b"."
    host.process.send_signal(number)
    layout = layout_of(releases()["1.3.0"])
    host.send(whole(CallFrame(1, "rkllm_destroy", image(layout, "rkllm_destroy", []))))
    assert [type(one) for one in host.until_return()] == [ReturnFrame]
    assert host.end()[0] == 0


@pytest.mark.parametrize("name", HOSTS)
def test_no_heartbeat_comes_before_the_library_is_loaded(
    name: str, start: Callable[..., Host], tmp_path: Path
) -> None:
    """A library that hangs while it is loaded is found by the silence."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    source, library = tmp_path / "slow.c", tmp_path / "slow.so"
    source.write_text(LOADS_AFTER_A_LINE)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    host = start(library, "1.3.0", name)
    assert host.process.stdout is not None
    assert host.process.stdout.readline() == b"loading\n"
    ready, _, _ = select.select([host.heartbeat], [], [], 0.2)
    assert ready == []


@pytest.mark.parametrize("name", HOSTS)
def test_files_for_which_there_is_no_room_are_said(
    name: str, start: Callable[..., Host], tmp_path: Path
) -> None:
    """After the call's mark, so that its client learns why, and what to raise."""
    layout = layout_of(releases()["1.3.0"])
    limit = 12
    host = start(cpu.library_path("1.3.0"), "1.3.0", name, descriptors=limit)
    with Path("/dev/null").open() as opened:
        numbers = [opened.fileno()] * limit
        made = image(layout, "rkllm_init", [{"model_path": "/nowhere"}], numbers)
        host.send(whole(CallFrame(1, "rkllm_init", made, b"mark\n")), numbers)
    assert host.process.wait(TIMEOUT_S) == 1
    _, printed = host.end()
    *marks, sentence, _ = printed.split(b"\n")  # one on each stream
    assert marks == [b"mark", b"mark"]
    assert sentence.startswith(b"E host: the model's files cannot be opened: this process may open")
    assert b" 12 files" in sentence
    assert b"LimitNOFILE=" in sentence


@pytest.fixture
def hostile(request: pytest.FixtureRequest, start: Callable[..., Host], tmp_path: Path) -> Run:
    """Makes a run of the hostile library in a host."""
    host = start(compiled("hostile.c", tmp_path), "1.3.0", request.param)
    layout = layout_of(releases()["1.3.0"])
    numbers = itertools.count(1)

    def call(function: str, params: list[object], rows: int = 0) -> CallFrame:
        call_image = image(layout, function, params)
        return CallFrame(next(numbers), function, call_image, rows=rows, userdata=USERDATA)

    host.send(whole(call("rkllm_init", [{"model_path": "/dev/null"}])))
    host.until_return()

    def run(prompt: str) -> list[CallbackCopy | ReturnFrame]:
        host.send(whole(call("rkllm_run", [{"prompt_input": prompt}], rows=1)))
        return host.until_return()

    return run


@pytest.mark.parametrize("hostile", HOSTS, indirect=True)
def test_a_state_that_does_not_exist_arrives_as_it_is(hostile: Run) -> None:
    first, *_ = hostile("wrong state")
    assert isinstance(first, CallbackCopy)
    assert first.state == -1


@pytest.mark.parametrize("hostile", HOSTS, indirect=True)
@pytest.mark.parametrize("prompt", ["hold", "await input"])
def test_a_stream_that_the_library_holds_delays_no_call(hostile: Run, prompt: str) -> None:
    """glibc keeps a stream locked while a thread reads from it."""
    hostile(prompt)
    assert len(hostile("anything")) == 3


@pytest.mark.parametrize("hostile", HOSTS, indirect=True)
def test_what_c_reads_is_aligned_as_mallocs_memory(hostile: Run) -> None:
    *_, end = hostile("alignment")
    assert isinstance(end, ReturnFrame)
    assert end.status == 0


@pytest.mark.parametrize("name", HOSTS)
def test_a_text_that_no_token_has_ends_the_host_with_a_sentence(
    name: str, start: Callable[..., Host], tmp_path: Path
) -> None:
    """The daemon would take many times its size."""
    host = start(compiled("hostile.c", tmp_path), "1.3.0", name)
    layout = layout_of(releases()["1.3.0"])
    for number, (function, params) in enumerate(
        {
            "rkllm_init": [{"model_path": "/dev/null"}],
            "rkllm_run": [{"prompt_input": "long text"}],
        }.items(),
        1,
    ):
        call = CallFrame(number, function, image(layout, function, params), rows=number - 1)
        host.send(whole(attrs.evolve(call, userdata=USERDATA)))
    host.process.wait(TIMEOUT_S)
    code, output = host.end()
    assert code == 1
    assert b"E host: a result: its text has more than 16 MiB.\n" in output


@pytest.mark.parametrize("name", HOSTS)
def test_a_host_of_another_version_says_so(
    name: str,
    start: Callable[..., Host],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A package may be replaced while its daemon runs."""
    monkeypatch.setattr(config, "FRAMES_VERSION", 1)
    host = start(cpu.library_path("1.3.0"), "1.3.0", name)
    host.process.wait(TIMEOUT_S)
    code, output = host.end()
    assert code == 1
    assert output == b"E host: rkllm-host: the daemon is of another version; restart it.\n"
