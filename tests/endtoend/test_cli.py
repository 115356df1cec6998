"""The ``rkllm`` command, as a person or a script uses it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from daemons import Daemon, environment
from rkllm_command import RKLLM, begin, rkllm, surroundings

Start = Callable[..., Daemon]
Script = Callable[[str], Path]

HELLO = 'run\ntoken "Hello"\ntoken ", "\ntoken "world"\nfinish\n'


def test_run_prints_the_answer(start: Start, script: Script) -> None:
    """stdout contains only the answer."""
    daemon = start()
    daemon.load(script(HELLO))
    done = rkllm("run", "hi", daemon=daemon)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello, world\n", "")


def test_run_loads_a_model_first_when_one_is_given(
    start: Start, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is relative to the caller, not to the daemon."""
    daemon, model = start(), script(HELLO)
    monkeypatch.chdir(model.parent)
    assert rkllm("run", "--model", model.name, "hi", daemon=daemon).stdout == "Hello, world\n"


def test_run_prints_tokens_as_they_come(start: Start, script: Script, tmp_path: Path) -> None:
    """The first token appears before the run continues."""
    daemon, gate = start(), tmp_path / "gate"
    daemon.load(script(f'run\ntoken "first"\nwait "{gate}"\ntoken " second"\nfinish\n'))
    command = [*RKLLM, "run", f"--socket={daemon.path}", "hi"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        assert process.stdout.read(5) == b"first"
        gate.touch()
        assert process.stdout.read() == b" second\n"


def test_a_reader_that_goes_away_is_no_error_message(start: Start, script: Script) -> None:
    """An example is `rkllm run … | head -c 1`."""
    daemon = start()
    daemon.load(script('run\ndelay 1\nrepeat 500 token "x"\nfinish\n'))
    command = [*RKLLM, "run", f"--socket={daemon.path}", "hi"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141


def test_without_a_daemon_it_says_so_with_an_exit_code_of_its_own(tmp_path: Path) -> None:
    """The sentence names the socket and the command that starts a daemon."""
    done = rkllm("run", f"--socket={tmp_path / 'none'}", "hi")
    assert done.returncode == 3
    assert str(tmp_path / "none") in done.stderr
    assert "twistd -n rkllm" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_a_model_it_says_what_to_give(start: Start) -> None:
    """The error is one sentence."""
    done = rkllm("run", "hi", daemon=start())
    assert done.returncode == 4
    assert "rkllm init" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_model_is_named(start: Start) -> None:
    """The error has the daemon's path."""
    done = rkllm("run", "--model", "/nowhere/m.gguf", "hi", daemon=start())
    assert done.returncode == 1
    assert "/nowhere/m.gguf" in done.stderr


def test_a_run_that_fails_is_an_error(start: Start, script: Script) -> None:
    """Earlier text is printed, and the exit code is 1."""
    daemon = start()
    daemon.load(script('run\ntoken "so far"\nerror\n'))
    done = rkllm("run", "hi", daemon=daemon)
    assert done.returncode == 1
    assert done.stdout == "so far\n"
    assert "error" in done.stderr


def test_call_prints_a_result_as_a_line_of_json(start: Start) -> None:
    """jq and similar programs can read the line."""
    daemon = start()
    assert rkllm("call", "server.ping", daemon=daemon).stdout == '"pong"\n'
    done = rkllm("call", "server.configure", '{"floats": "base64"}', daemon=daemon)
    assert json.loads(done.stdout)["floats"] == "base64"


def test_call_prints_a_stream_line_by_line(start: Start, script: Script) -> None:
    """Each result is a line."""
    daemon = start()
    daemon.load(script(HELLO))
    done = rkllm("call", "rkllm.run_async", '[{"prompt_input": "hi"}]', daemon=daemon)
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()][:3] == [
        "Hello",
        ", ",
        "world",
    ]


def test_call_makes_several_calls_in_one_turn(start: Start, script: Script) -> None:
    """Each partial result is a line, and the last line has all results."""
    daemon = start()
    daemon.load(script(HELLO))
    calls = [
        {"method": "rkllm.clear_kv_cache", "params": [0]},
        {"method": "rkllm.run", "params": [{"prompt_input": "hi"}]},
    ]
    done = rkllm("call", "server.sequence", json.dumps({"calls": calls}), daemon=daemon)
    *parts, last = map(json.loads, done.stdout.splitlines())
    assert {part["_call_index"] for part in parts} == {1}
    assert "".join(part["text"] for part in parts) == last["results"][1]["text"]


def test_an_error_of_the_daemon_has_its_code(start: Start) -> None:
    """The error goes to stderr, and stdout is empty."""
    done = rkllm("call", "no.such.method", daemon=start())
    assert (done.returncode, done.stdout) == (1, "")
    assert "-32601" in done.stderr
    assert "no.such.method" in done.stderr


@pytest.mark.parametrize("text", ["{", "5", '"text"'])
def test_parameters_that_are_not_json_are_refused_before_anything_is_sent(text: str) -> None:
    """The exit code is that of wrong use."""
    done = rkllm("call", "server.ping", text)
    assert done.returncode == 2
    assert "JSON" in done.stderr


def test_demo_model_prints_a_path_that_is_there() -> None:
    """`--model $(rkllm demo-model)` works."""
    assert Path(rkllm("demo-model").stdout.strip()).is_file()


def test_the_demo_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon has ended, and the socket is gone."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = rkllm("demo", "--prompt", "What is a list?")
    assert done.returncode == 0, done.stderr
    assert "time to first token" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [[], ["-"], ["--file", "-"]])
def test_a_prompt_may_come_on_stdin(start: Start, script: Script, words: list[str]) -> None:
    """echo adds a newline, and the characters may be of any script."""
    daemon = start()
    daemon.load(script("run\necho\n"))
    assert rkllm("run", *words, daemon=daemon, input="Grüße, 世界\n").stdout == "Grüße, 世界\n\n"


def test_a_prompt_may_come_from_a_file(start: Start, script: Script, tmp_path: Path) -> None:
    """The whole file is the prompt."""
    daemon = start()
    daemon.load(script("run\necho\n"))
    (tmp_path / "prompt").write_text("one\ntwo")
    done = rkllm("run", "--file", str(tmp_path / "prompt"), daemon=daemon)
    assert done.stdout == "one\ntwo\n"


def test_run_json_is_the_stream_as_the_daemon_sends_it(start: Start, script: Script) -> None:
    """Each line is a value, and the finishing result comes last."""
    daemon = start()
    daemon.load(script(HELLO))
    done = rkllm("run", "--json", "hi", daemon=daemon)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result["_callback_state"] for result in results] == [0, 0, 0, 2]
    assert [result["text"] for result in results[:3]] == ["Hello", ", ", "world"]
    assert "perf" in results[-1]


def test_run_json_of_a_run_that_fails_has_its_results_and_the_code(
    start: Start, script: Script
) -> None:
    """The last line has state 3, and the exit code reports the failure."""
    daemon = start()
    daemon.load(script('run\ntoken "so far"\nerror\n'))
    done = rkllm("run", "--json", "hi", daemon=daemon)
    assert done.returncode == 1
    assert [json.loads(line)["_callback_state"] for line in done.stdout.splitlines()] == [0, 3]


def test_parameters_of_a_run_reach_the_runtime(start: Start, script: Script) -> None:
    """Values that are JSON are sent as JSON."""
    daemon = start()
    daemon.load(script('run\nrepeat 9 token "x"\nfinish\n'))
    assert rkllm("run", "-p", "max_new_tokens=3", "hi", daemon=daemon).stdout == "xxx\n"
    done = rkllm("run", "-p", "no_such_field=1", "hi", daemon=daemon)
    assert done.returncode == 1
    assert "no_such_field" in done.stderr


def test_a_pipe_gets_what_the_model_says_and_no_colours(start: Start, script: Script) -> None:
    """The bytes are unchanged, also while a model loads."""
    daemon, model = start(), script('init delay 50\nrun\ntoken "\\x1b[31mred\\x07"\nfinish\n')
    done = rkllm("run", "--model", str(model), "hi", daemon=daemon)
    assert (done.stdout, done.stderr) == ("\x1b[31mred\x07\n", "")


def test_an_output_that_lacks_characters_gets_question_marks(start: Start, script: Script) -> None:
    """Encoding never raises an error."""
    daemon = start()
    daemon.load(script("run\necho\n"))
    done = subprocess.run(
        [*RKLLM, "run", "Grüße"],
        env={**surroundings(daemon), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, b"Gr??e\n")


def test_init_and_destroy(start: Start, script: Script) -> None:
    """init prints one line with the time it took; destroy prints nothing."""
    daemon, model = start(), script(HELLO)
    done = rkllm("init", str(model), "-p", "max_context_len=512", daemon=daemon)
    assert done.returncode == 0
    assert done.stdout.startswith(f"Loaded {model} in ")
    assert done.stderr == ""
    assert rkllm("run", "hi", daemon=daemon).returncode == 0
    assert rkllm("destroy", daemon=daemon).stdout == ""
    assert rkllm("run", "hi", daemon=daemon).returncode == 4


def test_abort_stops_the_run_under_way(start: Start, script: Script) -> None:
    """The run belongs to another client and ends as the runtime ends it."""
    daemon = start()
    daemon.load(script('run\ntoken "first"\nhang until abort\nfinish\n'))
    with begin("run", "hi", daemon=daemon) as process:
        assert process.stdout is not None
        assert process.stdout.read(5) == "first"
        assert rkllm("abort", daemon=daemon).returncode == 0
        assert process.wait(30) == 0


def test_status_for_people_and_for_programs(start: Start, script: Script) -> None:
    """People get lines with names; programs get JSON that also has the machine's state."""
    daemon = start()
    daemon.load(script(HELLO))
    page = rkllm("status", daemon=daemon).stdout.splitlines()
    assert page[0].split() == ["state", "loaded"]
    found = json.loads(rkllm("status", "--json", daemon=daemon).stdout)
    assert found["state"] == "loaded"
    assert found["machine"]["resident"] > 10 * 2**20


def test_a_watched_status_is_lines_in_a_pipe(start: Start, script: Script) -> None:
    """Each line has the tokens per second since the line before."""
    daemon = start()
    daemon.load(script('run\nrepeat 9 token "x"\nfinish\n'))
    words = "status", "--watch", "--json", "--interval", "0.1"
    with begin(*words, daemon=daemon) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["tokens_per_second"] is None
        assert rkllm("run", "hi", daemon=daemon).returncode == 0
        deadline = time.monotonic() + 30
        while json.loads(process.stdout.readline())["tokens_per_second"] in (None, 0.0):
            assert time.monotonic() < deadline
        process.send_signal(2)
        assert process.wait(30) == 130
    with begin(*words[:2], *words[3:], daemon=daemon) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("state loaded; model ")
        process.terminate()


def test_methods_are_listed_and_explained(start: Start) -> None:
    """The explanation is the daemon's own."""
    daemon = start()
    listed = rkllm("methods", daemon=daemon).stdout
    assert "\nrkllm.run_async  " in listed
    explained = rkllm("methods", "rkllm.init", daemon=daemon).stdout
    assert explained.startswith("rkllm.init: ")
    assert "\n  param (RKLLMParam): " in explained
    assert "\nErrors: -32602 InvalidParams, -32000 " in explained
    assert "\nRKLLMParam: " in explained
    assert "\n  model_path (string): " in explained
    assert "\nRKLLMExtendParam: " in explained


def test_methods_as_json_are_openrpc(start: Start) -> None:
    """The output is the document, or one of its methods."""
    daemon = start()
    document = json.loads(rkllm("methods", "--json", daemon=daemon).stdout)
    assert document["openrpc"].startswith("1.")
    method = json.loads(rkllm("methods", "--json", "server.ping", daemon=daemon).stdout)
    assert method["name"] == "server.ping"


def test_a_method_that_is_not_there_is_named_with_its_neighbours(start: Start) -> None:
    """The exit code is that of wrong use."""
    done = rkllm("methods", "rkllm.runasync", daemon=start())
    assert done.returncode == 2
    assert "rkllm.run_async" in done.stderr


def test_bench_measures_what_a_client_meets(start: Start, script: Script, tmp_path: Path) -> None:
    """The times per token are at least those of the script."""
    daemon = start()
    daemon.load(script('run\ndelay 20\nrepeat 5 token "x"\nfinish\n'))
    words = "bench", "--repeat", "2", "--prompt", "one", "--prompt", "two", "--json"
    found = json.loads(rkllm(*words, daemon=daemon).stdout)
    assert [each["prompt"] for each in found["prompts"]] == ["one", "two"]
    for each in found["prompts"]:
        assert len(each["samples"]) == 2
        assert each["tokens"]["median"] == 5
        assert each["first_token_ms"]["least"] >= 20
        assert each["tokens_per_second"]["greatest"] <= 50


def test_bench_draws_a_plot_beside_its_table(start: Start, script: Script, tmp_path: Path) -> None:
    """The warm-up is not in the table."""
    daemon, plot = start(), tmp_path / "plot.svg"
    daemon.load(script(HELLO))
    done = rkllm("bench", "-n", "1", "--prompt", "hi", "--plot", str(plot), daemon=daemon)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:6] == ["prompt", "tokens", "first", "token,", "ms", "tokens/s"]
    assert done.stdout.splitlines()[1].split()[:2] == ["hi", "3"]
    assert plot.read_text().count("<svg") == 1


def test_bench_of_a_model_without_an_answer_says_so(start: Start, script: Script) -> None:
    """Without an answer there are no figures."""
    daemon = start()
    daemon.load(script("run\nfinish\n"))
    done = rkllm("bench", "--prompt", "hi", daemon=daemon)
    assert done.returncode == 1
    assert "no token for 'hi'" in done.stderr


#: Another program may listen on the HTTP service's usual port.
NO_HTTP = "--http=http://127.0.0.1:1"


def test_doctor_is_content_with_an_embedded_runtime(start: Start) -> None:
    """The daemon answers, or the library is given."""
    daemon = start()
    assert rkllm("doctor", NO_HTTP, daemon=daemon).returncode == 0
    found = json.loads(rkllm("doctor", NO_HTTP, "--json", daemon=daemon).stdout)
    assert found["ok"] is True
    assert found["checks"]["daemon"]["level"] == "ok"
    assert found["checks"]["http"]["level"] == "skipped"
    named = rkllm("doctor", NO_HTTP, "--library", "cpu", "--json", daemon=daemon)
    assert json.loads(named.stdout)["checks"]["runtime"]["level"] == "ok"


def test_doctor_finds_what_is_wrong_and_says_it_with_its_exit_code(tmp_path: Path) -> None:
    """Each finding has a remedy, for people and as JSON."""
    driver = tmp_path / "sys/kernel/debug/rknpu/version"
    driver.parent.mkdir(parents=True)
    driver.write_text("RKNPU driver: v0.8.2\n")
    tree = tmp_path / "proc/device-tree/compatible"
    tree.parent.mkdir(parents=True)
    tree.write_text("radxa,rock-5b\0rockchip,rk3588\0")
    words = "doctor", f"--root={tmp_path}", f"--socket={tmp_path / 'none'}", "--library=/nowhere.so"
    words = (*words, NO_HTTP)
    done = rkllm(*words, "--json")
    checks = json.loads(done.stdout)["checks"]
    assert done.returncode == 1
    assert {name for name, found in checks.items() if found["level"] == "wrong"} == {
        "runtime",
        "driver",
        "devices",
        "daemon",
    }
    page = rkllm(*words)
    assert page.returncode == 1
    assert "WRONG driver The rknpu driver is 0.8.2" in " ".join(page.stdout.split())
    assert all(found["remedy"] in page.stdout for found in checks.values() if found["remedy"])
