"""What the benchmarks ask a daemon beside what is measured, and what the kernel knows of it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Seconds after which anything that was waited for has failed.
PATIENCE = 60.0
TICKS = os.sysconf("SC_CLK_TCK")
MB = 1e6
#: What the models of the benchmarks do, by the prompt's words. The times are in milliseconds.
SCRIPT = """#!rkllm-script 1
context 10000000
run when "full speed"
repeat {tokens} token "x"
run when "paced"
delay 1
clock {paced}
run when "for ever"
delay 1
repeat 100000000 token "x"
run
token "ok"
"""


class Client:
    """A connection that speaks lines."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self._file = self.socket.makefile("rb")

    def send(self, method: str, params: object = None, request_id: int = 1) -> None:
        """Send a request."""
        message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def ask(self, method: str, params: object = None) -> Any:
        """Send a request; its result."""
        self.send(method, params)
        answer = json.loads(self._file.readline())
        assert "result" in answer, answer
        return answer["result"]

    def close(self) -> None:
        """Leave."""
        self._file.close()
        self.socket.close()


@contextmanager
def clients(path: Path, count: int) -> Iterator[list[Client]]:
    """Some connections, each of which has asked something."""
    connected = []
    try:
        for _ in range(count):
            connected.append(Client(path))
            connected[-1].ask("server.ping")
        yield connected
    finally:
        for client in connected:
            client.close()


def load_model(path: Path, model: Path) -> None:
    """Have the daemon load a model."""
    with clients(path, 1) as [client]:
        client.ask("rkllm.init", [{"model_path": str(model), "max_new_tokens": -1}])


def run(prompt: str, method: str = "rkllm.run_async") -> bytes:
    """A request for a run."""
    params = {"rkllm_input": {"prompt_input": prompt}}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


def family(pid: int) -> list[int]:
    """A process and its children."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [pid, *map(int, text.split())]


def resident(pid: int) -> float:
    """MB of a process and its children that are in memory."""
    pages = sum(int(Path(f"/proc/{p}/statm").read_text().split()[1]) for p in family(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / MB


def processor_time(pid: int) -> float:
    """Seconds of a processor that a process and its children have used."""
    spent = 0
    for each in family(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        spent += int(fields[11]) + int(fields[12])
    return spent / TICKS
