"""``rkllm demo --web``: everything in one command, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from daemons import MAX_WAIT_S, environment


def ask(address: str, path: str, body: Any = None, accept: str = "*/*") -> bytes:
    """The body of an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{address}{path}", data, {"Accept": accept})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=MAX_WAIT_S) as response:
        return bytes(response.read())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_the_page_is_served_until_the_signal(tmp_path: Path, number: signal.Signals) -> None:
    """The model answers, and afterwards no file and no process is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rkllm_twisted.cli", "demo", "--web"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment(), "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        output = ""
        while "Ctrl-C" not in output:
            line = process.stdout.readline()
            assert line, output
            output += line
        found = re.search(r"http://127\.0\.0\.1:\d+", output)
        assert found, output
        assert b"<!doctype html>" in ask(found[0], "/", accept="text/html")
        question = {"messages": [{"role": "user", "content": "What is a generator?"}]}
        answer = json.loads(ask(found[0], "/v1/chat/completions", question))
        assert "generator" in answer["choices"][0]["message"]["content"]
        process.send_signal(number)
        assert process.wait(MAX_WAIT_S) == 0
    finally:
        process.kill()
        process.stdout.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):  # the whole session has ended
        os.killpg(process.pid, 0)
