"""Clients written by hand in Node, without any package."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from client_driver import command
from daemons import MAX_WAIT_S, Daemon

ECHO = "#!rkllm-script 1\nrun\necho\nfinish\n"
#: Each piece waits until the client has read the one before: no two are ever read as one.
ONE_BY_ONE = """#!rkllm-script 1
run
token "one"
wait "{go}1"
token " two"
wait "{go}2"
token " three"
wait "{go}3"
finish
"""


def output(program: str, *arguments: object, cwd: Path) -> list[Any]:
    """Run a client; return its output as lines."""
    words, env = command(None, program)
    done = subprocess.run(
        [*words, *map(str, arguments)],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=MAX_WAIT_S,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.usefixtures("node")
def test_lines_out_and_lines_in(daemon: Daemon, tmp_path: Path) -> None:
    """Several streams run at once in the default form and are told apart by their ids."""
    model = tmp_path / "model.script"
    model.write_text(ECHO)
    prompts = ["What is a module?", "größe 你好 😀", "a third"]
    answers = output("handwritten_lines.js", daemon.path, model, *prompts, cwd=tmp_path)
    assert [answer["text"].split() for answer in answers] == [p.split() for p in prompts]
    assert {answer["state"] for answer in answers} == {2}


@pytest.mark.usefixtures("node")
def test_no_newline_out_and_whole_events_in(daemon: Daemon, tmp_path: Path) -> None:
    """Requests without a final newline are answered, with one message in each read."""
    go, model = tmp_path / "go", tmp_path / "model.script"
    model.write_text(ONE_BY_ONE.format(go=go))
    told = output("handwritten_events.js", daemon.path, model, go, cwd=tmp_path)
    assert told[:2] == [{"success": True, "status_code": 0}, "pong"]
    assert [text for state, text in told[2:-1] if state == 0] == ["one", " two", " three"]
    assert told[-2][0] == 2
    assert told[-1] is False


@pytest.mark.usefixtures("node")
def test_a_connection_for_each_request_and_the_answer_parsed_whole(
    daemon: Daemon, tmp_path: Path
) -> None:
    """Positional parameters have null in the daemon's slots; the model outlives connections."""
    model = tmp_path / "model.script"
    model.write_text('#!rkllm-script 1\nrun\ntoken "Fine," 1\ntoken " thanks." 2\nfinish\n')
    told = output("handwritten_whole.js", daemon.path, model, cwd=tmp_path)
    assert [answer["id"] for answer in told] == [1, 2, 3, 4, 5, 6, 6, 6, 7, 8, 9, 10]
    done = {"success": True, "status_code": 0}
    assert told[0]["result"] == told[1]["result"] == told[9]["result"] == told[11]["result"] == done
    assert told[2]["result"]["max_context_len"] > 0
    assert told[3]["result"]["LLMCallState"]["RKLLM_RUN_FINISH"] == 2
    assert told[4]["result"]["text"] == "Fine, thanks."
    streamed = [answer["result"] for answer in told[5:8]]
    assert [(s["_callback_state"], s["text"], s["token_id"]) for s in streamed[:2]] == [
        (0, "Fine,", 1),
        (0, " thanks.", 2),
    ]
    assert list(streamed[0]) == [*list(streamed[2])]
    assert told[8]["result"]["is_running"] is False
    assert told[10]["error"]["code"] == -32602
    assert "/none" in told[10]["error"]["message"]
