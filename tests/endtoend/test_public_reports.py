"""Problems from public reports, tried on a daemon: one row per report.

The table is ``tests/support/public_reports.py``. Several reports of one fault share a scenario,
which runs once; each of their rows has its outcome.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon, RawClient, environment, twistd
from many_clients import child_of, wait_until
from public_reports import REPORTS, Report
from sysfs_trees import machine, paint

from rkllm_twisted.board.checks import run_checks
from rkllm_twisted.board.finding import WRONG
from rkllm_twisted.board.machine import Account
from rkllm_twisted.cpu import demo_model

PROJECT = Path(__file__).parents[2]
PROMPT = [{"prompt_input": "one two"}]
HELLO = 'run\ntoken "Hello"\nfinish\n'
SLOW = 'delay 5\nrepeat 100000 token "x"\nfinish\n'


class Stage:
    """The daemons, models and clients of one scenario.

    :param directory: directory for sockets, logs and models.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._daemons: list[Daemon] = []
        self._models = 0

    def start(self, *options: str, **how: Any) -> Daemon:
        """Start a daemon."""
        self._daemons.append(Daemon(self.directory, *options, **how))
        return self._daemons[-1]

    def model(self, text: str) -> str:
        """Write a model for the scripted engine."""
        self._models += 1
        path = self.directory / f"{self._models}.script"
        path.write_text("#!rkllm-script 1\n" + text)
        return str(path)

    def loaded(self, text: str, *options: str) -> Daemon:
        """Start a daemon and load a scripted model."""
        daemon = self.start(*options)
        daemon.load(self.model(text))
        return daemon

    def close(self) -> None:
        """Stop the daemons; no log may have a traceback."""
        for daemon in self._daemons:
            daemon.stop()
            assert "Traceback" not in daemon.log.read_text(), daemon.log.read_text()


def load(client: RawClient, model: str, **param: object) -> Any:
    """Load a model and return the whole answer."""
    return client.ask("rkllm.init", [{"model_path": model, **param}])


def text_of(client: RawClient, prompt: str = "hi") -> str:
    """Run a prompt to its end and return the text."""
    answer = client.ask("rkllm.run", [{"prompt_input": prompt}])
    assert "result" in answer, answer
    return str(answer["result"]["text"])


def works(client: RawClient, stage: Stage) -> None:
    """Check that a model can be loaded and answers."""
    assert load(client, stage.model(HELLO))["result"]["success"] is True
    assert text_of(client) == "Hello"


# ---- Loading a model ----


def play_init_succeeds_without_a_handle(stage: Stage) -> None:
    """The scripted init is ``init null``."""
    with stage.start().connect() as client:
        error = load(client, stage.model("init null\n"))["error"]
        assert error["code"] == -32000
        assert "handle" in error["message"]
        assert client.ask("rkllm.run", PROMPT)["error"]["code"] == -32001
        works(client, stage)


def play_run_aborts_the_process(stage: Stage) -> None:
    """The scripted run prints its assertion and aborts."""
    words = "GGML_ASSERT: a->ne[2] == b->ne[0]"
    daemon = stage.loaded(f'run\nprint stderr "{words}\\n"\nabort\n')
    with daemon.connect() as client, daemon.connect() as other:
        error = client.ask("rkllm.run", PROMPT)["error"]
        assert (error["code"], error["data"]["signal"]) == (-32004, signal.SIGABRT)
        assert words in error["data"]["lines"]
        assert other.ask("server.ping")["result"] == "pong"
        works(other, stage)


def play_init_crashes(stage: Stage) -> None:
    """The scripted init is ``init segv``."""
    with stage.start().connect() as client:
        error = load(client, stage.model("init segv\n"))["error"]
        assert (error["code"], error["data"]["signal"]) == (-32004, signal.SIGSEGV)
        works(client, stage)


def play_init_exits_silently(stage: Stage) -> None:
    """The scripted init is ``init exit 0``."""
    with stage.start().connect() as client:
        error = load(client, stage.model("init exit 0\n"))["error"]
        assert (error["code"], error["data"]["exit_code"]) == (-32004, 0)
        works(client, stage)


def play_init_hangs(stage: Stage) -> None:
    """The scripted init is ``init hang``."""
    with stage.start("--init-timeout=1").connect() as client:
        assert load(client, stage.model("init hang\n"))["error"]["code"] == -32003
        works(client, stage)


def play_second_init_replaces_the_model(stage: Stage) -> None:
    """The second model answers and is the only one loaded."""
    with stage.loaded('run\ntoken "old"\n').connect() as client:
        works(client, stage)


def play_context_longer_than_the_models(stage: Stage) -> None:
    """The bundled model has its own context length."""
    with stage.start().connect() as client:
        error = load(client, str(demo_model()), max_context_len=1_000_000)["error"]
        assert (error["code"], error["data"]["function"]) == (-32000, "rkllm_init")
        assert load(client, str(demo_model()), max_context_len=256)["result"]["success"]


#: Name -> contents of files that users had instead of a model.
NO_MODELS = {
    "pointer.gguf": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n",
    "page.gguf": b"<!DOCTYPE html><html><body>Sign in</body></html>",
    "missing.gguf": b"Entry not found",
    "empty.gguf": b"",
    "half.gguf": demo_model().read_bytes()[:100_000],
}


def play_files_that_are_no_models(stage: Stage) -> None:
    """Each file is tried beside a model that answers."""
    with stage.loaded(HELLO).connect() as client:
        for name, contents in NO_MODELS.items():
            path = stage.directory / name
            path.write_bytes(contents)
            error = load(client, str(path))["error"]
            assert error["code"] == -32602, (name, error)
            assert name in error["message"]
            assert text_of(client) == "Hello"


def command(stage: Stage, daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the rkllm command."""
    return subprocess.run(
        [sys.executable, "-m", "rkllm_twisted.cli", *words],
        capture_output=True,
        text=True,
        cwd=stage.directory,
        env={**environment(), "RKLLM_UDS_PATH": str(daemon.path)},
        timeout=60,
    )


def play_a_file_by_its_path(stage: Stage) -> None:
    """The command gets a relative path."""
    daemon = stage.start()
    (stage.directory / "alone").mkdir()
    (stage.directory / "alone/mine.gguf").symlink_to(demo_model())
    done = command(stage, daemon, "init", "alone/mine.gguf")
    assert done.returncode == 0, done.stderr
    assert command(stage, daemon, "run", "Hello").stdout.strip()


def play_a_command_that_does_not_exist(stage: Stage) -> None:
    """The command is ``rkllm load``."""
    done = command(stage, stage.start(), "load", "mine.rkllm")
    assert done.returncode == 2
    assert "rkllm init PATH" in done.stderr


def play_the_reason_of_a_failed_load(stage: Stage) -> None:
    """The scripted load prints a line before -1; the load before it printed another line."""
    line = "E RKNN: failed to malloc npu memory, size 232128512"
    with stage.start().connect() as client:
        other = 'init print stderr "E rkllm: of another call\\n"\n'
        assert load(client, stage.model(other + HELLO))["result"]
        model = stage.model(f'init print stderr "{line}\\n"\ninit fail "no memory is left"\n')
        error = load(client, model)["error"]
        assert error["code"] == -32000
        assert line in error["data"]["lines"]
        assert "no memory is left" in error["message"]  # the last of them
        assert not [one for one in error["data"]["lines"] if "another call" in one]


def play_killed_from_outside(stage: Stage) -> None:
    """SIGKILL arrives during a run, as from the kernel."""
    daemon = stage.loaded(f"run\n{SLOW}")
    with daemon.connect() as client, daemon.connect() as other:
        client.ask("rkllm.run_async", PROMPT)
        os.kill(child_of(daemon), signal.SIGKILL)
        while "error" not in (answer := client.line()):
            pass
        error = answer["error"]
        assert (error["code"], error["data"]["signal"]) == (-32004, signal.SIGKILL)
        works(other, stage)


def play_many_descriptors(stage: Stage) -> None:
    """The kernel reports the child's limit."""
    daemon = stage.loaded(HELLO)
    lines = Path(f"/proc/{child_of(daemon)}/limits").read_text().splitlines()
    soft, hard = next(line for line in lines if line.startswith("Max open files")).split()[3:5]
    assert int(soft) == min(102400, int(hard))


def play_layout_of_another_release(stage: Stage) -> None:
    """The library is 1.2.1, with ``--abi=1.3.0``."""
    with stage.start("--abi=1.2.1").connect() as client:
        library = client.ask("server.version")["result"]["runtime"]["library"]
    options = [f"--library={library}", "--abi=1.3.0", f"--socket={stage.directory}/other"]
    done = subprocess.run(
        [*twistd(), "--nodaemon", "--pidfile=", "rkllm", *options],
        capture_output=True,
        text=True,
        cwd=stage.directory,
        env=environment(),
        timeout=60,
    )
    assert done.returncode != 0
    assert "1.3.0" in done.stderr
    assert "1.2.1" in done.stderr


# ---- Runs ----


def play_several_clients_at_once(stage: Stage) -> None:
    """Eight clients run at the same time."""
    daemon = stage.loaded("run\ndelay 1\necho\n")
    clients = [daemon.connect() for _ in range(8)]
    for number, client in enumerate(clients):
        run = {"method": "rkllm.run", "params": [{"prompt_input": f"number {number}"}]}
        client.send({"jsonrpc": "2.0", "id": number, **run})
    for number, client in enumerate(clients):
        answer = client.line()
        assert (answer["id"], answer["result"]["text"].split()) == (number, ["number", str(number)])
        client.socket.close()


def play_prompt_longer_than_the_context(stage: Stage) -> None:
    """The bundled model has a context of 64 tokens."""
    daemon = stage.start()
    daemon.load(demo_model(), max_context_len=64, top_k=1)
    with daemon.connect() as client:
        child = child_of(daemon)
        answer = client.ask("rkllm.run", [{"prompt_input": "list " * 500}])
        assert answer["error"]["code"] in (-32000, -32602)
        assert text_of(client, "Hello")
        assert child_of(daemon) == child


def play_run_async_streams(stage: Stage) -> None:
    """The tokens come before the end; the embedded rkllm_run_async would return before them."""
    with stage.loaded('run\ntoken "a"\ntoken "b"\nreturn 0\nfinish\n').connect() as client:
        answers = client.stream("rkllm.run_async", PROMPT)
        assert [a["result"]["text"] for a in answers[:2]] == ["a", "b"]
        assert answers[-1]["result"]["_callback_state"] == 2


def play_is_running(stage: Stage) -> None:
    """The scenario asks before, during and after a run, on the layout with the opposite header."""
    daemon = stage.start("--abi=1.2.1")
    daemon.load(stage.model('run\ntoken "a"\nhang until abort\nfinish\n'))
    with daemon.connect() as client, daemon.connect() as other:
        assert other.ask("rkllm.is_running")["result"]["is_running"] is False
        client.ask("rkllm.run_async", PROMPT)
        assert other.ask("rkllm.is_running")["result"]["is_running"] is True
        other.ask("rkllm.abort")
        while client.line()["result"]["_callback_state"] != 2:
            pass
        assert other.ask("rkllm.is_running")["result"]["is_running"] is False


def play_a_run_without_finish(stage: Stage) -> None:
    """The scripted run of hidden states ends with ``nofinish``."""
    with stage.loaded("embd 4\nrun mode hidden\nhidden 2 4\nnofinish\n").connect() as client:
        params = [*PROMPT, {"mode": "RKLLM_INFER_GET_LAST_HIDDEN_LAYER"}]
        answers = client.stream("rkllm.run_async", params)
        assert len(answers[0]["result"]["last_hidden_layer"]["hidden_states"]) == 2
        assert answers[-1]["result"]["_callback_state"] == 2


def hidden(client: RawClient, text: str = "What is a list?") -> Any:
    """Return the hidden states of a text."""
    params = [{"prompt_input": text}, {"mode": "RKLLM_INFER_GET_LAST_HIDDEN_LAYER"}]
    return client.ask("rkllm.run", params)["result"]["last_hidden_layer"]["hidden_states"]


def play_hidden_states_repeat(stage: Stage) -> None:
    """The bundled model reads another text in between."""
    daemon = stage.start()
    daemon.load(demo_model(), top_k=1)
    with daemon.connect() as client:
        sizes, found = [], []
        for text in ("What is a list?", "Something else entirely", "What is a list?"):
            client.ask("rkllm.clear_kv_cache", [0])
            found.append(hidden(client, text))
            sizes.append(client.ask("rkllm.get_kv_cache_size")["result"]["cache_sizes"][0])
        assert found[0] == found[2] != found[1]
        assert sizes[0] == sizes[2] < 64


def play_hidden_states_leave_no_memory_behind(stage: Stage) -> None:
    """The daemon returns 64 KiB of numbers 300 times; a leak would be 19 MiB."""
    with (daemon := stage.loaded("embd 1024\nrun mode hidden\nhidden 16 1024\n")).connect() as c:
        c.ask("server.configure", {"floats": "base64"})
        status = Path(f"/proc/{child_of(daemon)}/status")

        def resident() -> int:
            return int(status.read_text().partition("VmRSS:")[2].split()[0])

        for _ in range(20):
            hidden(c)
        before = resident()
        for _ in range(300):
            hidden(c)
        assert resident() - before < 4 * 1024


def play_a_run_without_history_leaves_nothing(stage: Stage) -> None:
    """The bundled model has keep_history 0 by default."""
    daemon = stage.start()
    daemon.load(demo_model(), top_k=1)
    with daemon.connect() as client:
        size = client.ask("rkllm.get_kv_cache_size")["result"]["cache_sizes"]
        first = text_of(client, "What is a list?")
        assert client.ask("rkllm.get_kv_cache_size")["result"]["cache_sizes"] == size
        assert text_of(client, "What is a list?") == first


# ---- Ending a run ----


def begin(client: RawClient, request_id: int = 1, prompt: str = "one") -> None:
    """Send a streaming run without reading."""
    run = {"method": "rkllm.run_async", "params": [{"prompt_input": prompt}]}
    client.send({"jsonrpc": "2.0", "id": request_id, **run})


def cancel(client: RawClient, request_id: int = 1) -> None:
    """Cancel a request."""
    client.send({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": request_id}})


def rest(client: RawClient) -> list[Any]:
    """Return the answers to a run, up to its last one."""
    answers = []
    while not answers or (
        "result" in answers[-1] and answers[-1]["result"]["_callback_state"] not in (2, 3)
    ):
        answers.append(client.line())
    return answers


def play_cancelling_a_waiting_run(stage: Stage) -> None:
    """Two clients run; the waiting one cancels."""
    daemon = stage.loaded('run\ndelay 2\nrepeat 200 token "x"\nfinish\n')
    with daemon.connect() as first, daemon.connect() as second:
        begin(first)
        first.line()
        begin(second)
        cancel(second)
        assert second.line()["error"]["code"] == -32800
        answers = rest(first)
        assert "error" not in answers[-1]
        assert len(answers) >= 199


def play_cancelling_while_the_prompt_is_read(stage: Stage) -> None:
    """The scripted run reads its prompt for 3 s and does not notice the abort."""
    daemon = stage.loaded('run when "one"\ndeaf\nprefill 3000\ntoken "x"\nfinish\n' + HELLO)
    with daemon.connect() as client, daemon.connect() as other:
        begin(client)
        wait_until(lambda: other.ask("server.status")["result"]["running"], 5)
        begun = time.monotonic()
        cancel(client)
        assert client.line()["error"]["code"] == -32800
        assert time.monotonic() - begun < 1.5
        assert text_of(client, "two") == "Hello"
        assert client.ask("server.ping", None, "last")["id"] == "last"


def play_late_callbacks(stage: Stage) -> None:
    """The scripted callback comes 20 ms after the abort, during the next run."""
    daemon = stage.loaded(
        'run when "next"\nsleep 100\ntoken "mine"\nfinish\n'
        'run\nlate "stray" 20\ndelay 1\nrepeat 100000 token "x"\nfinish\n'
    )
    with daemon.connect() as first, daemon.connect() as second:
        begin(first)
        first.line()
        cancel(first)
        answers = second.stream("rkllm.run_async", [{"prompt_input": "next"}], 2)
        assert [a["result"]["text"] for a in answers[:-1]] == ["mine"]


def play_the_next_run_reads_its_own_prompt(stage: Stage) -> None:
    """The first run is cancelled between its tokens."""
    with stage.loaded(f"run when one\n{SLOW}run\necho\n".replace("one", '"one"')).connect() as c:
        begin(c)
        c.line()
        cancel(c)
        while "error" not in c.line():
            pass
        assert text_of(c, "my own prompt").split() == ["my", "own", "prompt"]


def play_an_end_token_that_the_runtime_does_not_know(stage: Stage) -> None:
    """The script goes on after its end token, for ever."""
    script = f'run when "one"\ntoken "Hello"\ntoken "<|end|>"\n{SLOW}run\necho\n'
    shelf = stage.directory / "shelf"
    (shelf / "endless").mkdir(parents=True)
    (shelf / "endless" / "endless.script").write_text("#!rkllm-script 1\n" + script)
    (shelf / "endless" / "rkllm.toml").write_text('end_tokens = ["<|end|>"]\n')
    with stage.start(f"--model-dir={shelf}").connect() as client:
        assert "result" in client.ask("models.load", {"model": "endless"})
        answer = client.ask("rkllm.run", PROMPT)["result"]
        assert (answer["text"], answer["_callback_state"]) == ("Hello", 2)
        assert "_finish_reason" not in answer, "the model has ended it"
        assert text_of(client, "my own prompt").split() == ["my", "own", "prompt"]


def play_leaving_frees_the_npu(stage: Stage) -> None:
    """A client leaves between its tokens while another one waits."""
    daemon = stage.loaded(f'run when "one"\n{SLOW}{HELLO}')
    with daemon.connect() as waiting:
        leaving = daemon.connect()
        begin(leaving)
        leaving.line()
        leaving.socket.close()
        begun = time.monotonic()
        assert text_of(waiting, "two") == "Hello"
        assert time.monotonic() - begun < 5


def play_leaving_while_waiting(stage: Stage) -> None:
    """In the script, the nth run that reaches C plays the nth section."""
    daemon = stage.loaded(
        'run\ntoken "first"\nwait "go"\nfinish\nrun\ntoken "second"\nfinish\nrun\ntoken "third"\n'
    )
    with daemon.connect() as first, daemon.connect() as last:
        begin(first)
        first.line()
        leaving = daemon.connect()
        begin(leaving)
        wait_until(lambda: last.ask("server.status")["result"]["queue_length"] == 1)
        leaving.socket.close()
        wait_until(lambda: last.ask("server.status")["result"]["queue_length"] == 0)
        (stage.directory / "go").touch()
        assert text_of(last) == "second"


def play_leaving_amid_messages(stage: Stage) -> None:
    """Fifty clients leave in the middle of a message or an answer."""
    daemon = stage.loaded(f'run\nrepeat 50 token "x"\nfinish\n{HELLO}')
    for number in range(50):
        client = daemon.connect()
        if number % 2:
            begin(client)
        else:
            client.socket.sendall(b'{"jsonrpc":"2.0","id":1,"met')
        client.socket.close()
    with daemon.connect() as client:
        assert client.ask("server.ping")["result"] == "pong"
        wait_until(lambda: client.ask("server.status")["result"]["clients"] == 1)


# ---- Adapters, templates, caches ----

FACTS = 'template user "<u>" "</u>"\ntemplate system "<s>" "</s>"\n'
TOOLS = ["TOOLSYSTEM", [{"name": "look"}], "tool_response"]


def play_tools_after_an_empty_template(stage: Stage) -> None:
    """The library may return anything for it."""
    with stage.loaded(FACTS + HELLO).connect() as client:
        assert "id" in client.ask("rkllm.set_chat_template", ["", "", ""])
        answer = client.ask("rkllm.set_function_tools", TOOLS)
        assert answer.get("result") or answer["error"]["code"] == -32000
        assert text_of(client) == "Hello"


def play_template_or_tools(stage: Stage) -> None:
    """The tools are set last."""
    with stage.loaded(FACTS + "run\necho_rendered\n").connect() as client:
        assert client.ask("rkllm.set_chat_template", ["SYSTEM ", "BEFORE ", " AFTER"])["result"]
        assert client.ask("rkllm.set_function_tools", TOOLS)["result"]
        text = text_of(client)
        assert "TOOLSYSTEM" in text
        assert "BEFORE" not in text


def play_tokens_have_no_template(stage: Stage) -> None:
    """The scripted run repeats its input, once as a prompt and once as tokens."""
    with stage.loaded(FACTS + "run\necho_rendered\n").connect() as client:
        assert client.ask("rkllm.set_chat_template", ["SYSTEM ", "BEFORE ", " AFTER"])["result"]
        assert "BEFORE" in text_of(client)
        tokens = {
            "input_type": "RKLLM_INPUT_TOKEN",
            "token_input": {"input_ids": [1, 2], "n_tokens": 2},
        }
        answer = client.ask("rkllm.run", [tokens])
        assert "BEFORE" not in answer["result"]["text"], answer


def play_adapters_go_with_the_model(stage: Stage) -> None:
    """The scenario uses the bundled model and its adapter."""
    daemon = stage.start()
    adapter = demo_model().with_name("tiny-pydocs-lora.gguf")
    about = {"lora_adapter_path": str(adapter), "lora_adapter_name": "pirate", "scale": 1.0}
    asked = [{"prompt_input": "Hello"}, {"lora_params": {"lora_adapter_name": "pirate"}}]
    with daemon.connect() as client:
        assert load(client, str(demo_model()), top_k=1)["result"]
        assert client.ask("rkllm.load_lora", {"lora_adapter": about})["result"]
        assert client.ask("rkllm.run", asked)["result"]["text"].startswith("Arr")
        assert load(client, str(demo_model()), top_k=1)["result"]
        assert client.ask("rkllm.run", asked)["error"]["code"] == -32000


def play_fields_that_place_the_model(stage: Stage) -> None:
    """Clients use the names of rkllm.h, and the daemon checks the C types."""
    with stage.start().connect() as client:
        fields = {"enabled_cpus_mask": 0xF0, "enabled_cpus_num": 4, "base_domain_id": 1}
        assert load(client, str(demo_model()), extend_param=fields)["result"]["success"]
        error = load(client, str(demo_model()), extend_param={"base_domain_id": 2**40})["error"]
        assert error["code"] == -32602
        assert "base_domain_id" in error["message"]


# ---- A daemon for many ----


def play_a_full_queue(stage: Stage) -> None:
    """The queue has two places; twenty clients ask."""
    daemon = stage.loaded('run\nwait "go"\ntoken "x"\nfinish\n', "--queue=2", "--max-requests=50")
    with daemon.connect() as client:
        for number in range(20):
            begin(client, number)
        refused = [client.line() for _ in range(17)]
        assert {answer["error"]["code"] for answer in refused} == {-32002}
        assert {answer["error"]["data"]["queue_length"] for answer in refused} == {2}
        (stage.directory / "go").touch()
        ended = [answer for _ in range(3) for answer in rest(client)[-1:]]
        assert len({a["id"] for a in [*refused, *ended]}) == 20


def play_health_while_the_npu_hangs(stage: Stage) -> None:
    """The scripted run hangs and ignores the abort; its client leaves."""
    daemon = stage.loaded('run\ntoken "x"\ndeaf\nhang\n')
    leaving = daemon.connect()
    begin(leaving)
    leaving.line()
    leaving.socket.close()
    with daemon.connect() as client:
        for _ in range(20):
            begun = time.monotonic()
            assert client.ask("server.ping")["result"] == "pong"
            assert client.ask("server.status")["result"]["state"]
            assert time.monotonic() - begun < 1


def play_stopping_while_the_npu_hangs(stage: Stage) -> None:
    """The scripted run hangs and ignores the abort."""
    daemon = stage.loaded('run\ntoken "x"\ndeaf\nhang\n')
    with daemon.connect() as client:
        begin(client)
        client.line()
        begun = time.monotonic()
        assert daemon.stop(signal.SIGTERM) == 0
        assert time.monotonic() - begun < 20
        assert not daemon.path.exists()


def play_stopping_amid_a_stream(stage: Stage) -> None:
    """The current run ends by itself."""
    daemon = stage.loaded('run\ntoken "x"\nwait "go"\ntoken "y"\nfinish\n')
    with daemon.connect() as running, daemon.connect() as waiting:
        begin(running)
        running.line()
        begin(waiting)
        wait_until(lambda: waiting_calls(daemon) == 1)
        daemon.process.send_signal(signal.SIGTERM)
        assert waiting.line()["error"]["code"] == -32802
        (stage.directory / "go").touch()
        assert rest(running)[-1]["result"]["_callback_state"] == 2
        assert daemon.process.wait(20) == 0


def waiting_calls(daemon: Daemon) -> int:
    """Return the number of calls that wait for the NPU."""
    with daemon.connect() as client:
        return int(client.ask("server.status")["result"]["queue_length"])


#: Starts a command as systemd does, with a listening socket.
ACTIVATOR = """
import os, socket, sys
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
os.dup2(listening.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def play_the_socket_of_systemd(stage: Stage) -> None:
    """The daemon uses the passed socket and does not remove it."""
    wrapper = [sys.executable, "-c", ACTIVATOR, str(stage.directory / "rkllm.sock")]
    daemon = stage.start(wrapper=wrapper)
    with daemon.connect() as client:
        assert client.ask("server.ping")["result"] == "pong"
    assert daemon.stop() == 0
    assert daemon.path.is_socket()


def play_a_killed_daemons_socket(stage: Stage) -> None:
    """The scenario repeats this three times at one path."""
    for _ in range(3):
        daemon = stage.start()
        with daemon.connect() as client:
            assert client.ask("server.ping")["result"] == "pong"
        daemon.stop(signal.SIGKILL)


# ---- JSON-RPC ----


def play_one_response_for_each_id(stage: Stage) -> None:
    """The notifications have consecutive numbers and precede the one response."""
    with stage.loaded('run\nrepeat 5 token "x"\nfinish\n').connect() as client:
        client.ask("server.configure", {"stream": "notifications"}, 0)
        begin(client, 7)
        messages = [client.line()]
        while "id" not in messages[-1]:
            messages.append(client.line())
        assert [m["params"]["seq"] for m in messages[:-1]] == list(range(len(messages) - 1))
        assert messages[-1]["id"] == 7
        assert client.ask("server.ping", None, "last")["id"] == "last"


def play_an_invalid_request_with_an_id(stage: Stage) -> None:
    """The request has another version of JSON-RPC."""
    with stage.start().connect() as client:
        client.send({"jsonrpc": "1.0", "id": 5, "method": "server.ping"})
        answer = client.line()
        assert (answer["id"], answer["error"]["code"]) == (5, -32600)


def play_a_response_is_not_answered(stage: Stage) -> None:
    """The daemon ignores a result and an error; the next message answers a request."""
    with stage.start().connect() as client:
        client.send({"jsonrpc": "2.0", "id": 1, "result": "pong"})
        client.send({"jsonrpc": "2.0", "id": 2, "error": {"code": 1, "message": "x"}})
        assert client.ask("server.ping", None, "mine") == {
            "jsonrpc": "2.0",
            "id": "mine",
            "result": "pong",
        }


def play_batches(stage: Stage) -> None:
    """The batch has two requests, a notification and a mistake."""
    with stage.start().connect() as client:
        ping = {"jsonrpc": "2.0", "method": "server.ping"}
        client.send([{**ping, "id": 1}, ping, 1, {**ping, "id": 2}])
        answers = client.line()
        assert [answer.get("result") for answer in answers].count("pong") == 2
        assert [a["error"]["code"] for a in answers if "error" in a] == [-32600]
        assert len(answers) == 3


def play_a_long_message_in_small_pieces(stage: Stage) -> None:
    """One and four MiB come in pieces of 512 bytes; quadratic time would be 16 times as long."""
    with stage.start().connect() as client:
        taken = []
        for mib in (1, 4):
            text = json.dumps(
                {"jsonrpc": "2.0", "id": 1, "method": "x", "params": ["y" * mib * 2**20]}
            )
            payload = b"%d:%s," % (len(text), text.encode())
            begun = time.monotonic()
            for start in range(0, len(payload), 512):
                client.socket.sendall(payload[start : start + 512])
            assert client.netstring()["error"]["code"] == -32601
            taken.append(time.monotonic() - begun)
        assert taken[1] < 10 * taken[0] + 1


# ---- The board ----


def play_doctor_on_a_container_without_device_tree(stage: Stage) -> None:
    """``rkllm doctor`` reads files as a container shows them."""
    changes = {"proc/device-tree/compatible": None, ".dockerenv": ""}
    found = run_checks(machine(paint(stage.directory, changes), architecture="aarch64"))["board"]
    assert found.remedy is not None
    assert "systempaths=unconfined" in found.remedy


def play_doctor_on_another_chip(stage: Stage) -> None:
    """The board is an Orange Pi 3B."""
    changes = {"proc/device-tree/compatible": "xunlong,orangepi-3b\0rockchip,rk3566\0"}
    found = run_checks(machine(paint(stage.directory, changes), architecture="aarch64"))["board"]
    assert found.level == WRONG
    assert "rk3566" in found.message.lower()


def play_doctor_without_permission(stage: Stage) -> None:
    """Card, render node and heap have three groups, and the user is in none."""
    owners = {"dev/dri/renderD129": (0o660, 0, 105), "dev/dma_heap/system": (0o600, 0, 0)}
    stranger = Account(1001, frozenset({1001}), "anna")
    found = run_checks(machine(paint(stage.directory, owners=owners), account=stranger))
    assert "/dev/dri/card1" in found["devices"].message
    assert "usermod -aG render,video anna" in (found["devices"].remedy or "")
    assert "/dev/dma_heap/system" in found["heaps"].message
    rules = (PROJECT / "etc/70-rkllm.rules").read_text()
    assert "dma_heap" in rules
    assert "SupplementaryGroups=render video" in (PROJECT / "etc/rkllm.service").read_text()


def play_the_unit_shows_the_device_tree(stage: Stage) -> None:
    """The unit is the installed one."""
    lines = (PROJECT / "etc/rkllm.service").read_text().splitlines()
    assert not [line for line in lines if line.startswith("ProcSubset=")]


# ---- The rows ----

Play = Callable[[Report], None]


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Return a function that plays a scenario once for all reports of one fault."""
    outcomes: dict[str, BaseException | None] = {}

    def play_once(report: Report) -> None:
        if report.scenario not in outcomes:
            stage = Stage(tmp_path_factory.mktemp(report.scenario[:20]))
            try:
                globals()[f"play_{report.scenario}"](stage)
                outcomes[report.scenario] = None
            except BaseException as error:  # noqa: BLE001 - each row of the scenario fails with it
                outcomes[report.scenario] = error
            finally:
                stage.close()
        if (error := outcomes[report.scenario]) is not None:
            raise error

    return play_once


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.source.replace("/", "-"))
def test_what_was_reported_ends_well_here(play: Play, report: Report) -> None:
    """The scenario of each report checks the daemon's behaviour."""
    play(report)


def test_each_report_stands_once_and_each_scenario_is_used() -> None:
    """At least 51 rows exist, and each scenario has a row."""
    assert len({report.source for report in REPORTS}) == len(REPORTS) >= 51
    played = {name.removeprefix("play_") for name in globals() if name.startswith("play_")}
    assert played == {report.scenario for report in REPORTS}
