"""Twenty clients at once; each request must have exactly one answer."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daemons import Daemon, RawClient

ABIS = ["1.1.4", "1.2.0", "1.2.1", "1.3.0"]
CLIENTS = 20
#: The requests of each client, by id; the calls for the NPU queue up behind one another.
REQUESTS = {1: "rkllm.run_async", 2: "rkllm.run"}
#: Calls for the NPU, of all clients; one of them is under way and the others wait.
CALLS = CLIENTS * len(REQUESTS)


def wait_until(what: Callable[[], object], seconds: float = 20) -> None:
    """Poll a condition, since another process does not announce its state."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def children_of(daemon: Daemon) -> list[int]:
    """The daemon's child processes."""
    task = Path(f"/proc/{daemon.process.pid}/task")
    return [int(p) for t in task.iterdir() for p in (t / "children").read_text().split()]


def child_of(daemon: Daemon) -> int:
    """Wait for the process that holds the runtime: the daemon may listen before it starts."""
    children: list[int] = []

    def is_alone() -> bool:
        children[:] = children_of(daemon)
        return len(children) == 1

    wait_until(is_alone)
    return children[0]


def is_alive(pid: int) -> bool:
    """Does a process run? A zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def status_of(client: RawClient) -> Any:
    """The result of server.status."""
    return client.ask("server.status")["result"]


def run_params(prompt: str = "hi") -> list[object]:
    """The parameters of rkllm.run, valid for every release."""
    return [{"prompt_input": prompt}]


def ends(answer: Any) -> bool:
    """Does an answer end its request?"""
    return "error" in answer or answer["result"].get("_callback_state", 2) >= 2


class Rig:
    """A daemon, and a script whose gate the test opens."""

    def __init__(self, directory: Path, abi: str, *options: str) -> None:
        self.abi = abi
        self.daemon = Daemon(directory, f"--abi={abi}", *options)
        self._gate = directory / "gate"
        self._model = directory / "model.script"

    def script(self, text: str) -> Path:
        """Write a model's script, in which ``gate`` waits for :meth:`open`."""
        self._gate.unlink(missing_ok=True)
        text = text.replace("gate", f'wait "{self._gate}"')
        self._model.write_text(f"#!rkllm-script 1\n{text}")
        return self._model

    def load(self, text: str) -> None:
        """Load a script."""
        self.daemon.load(self.script(text))

    def open(self) -> float:
        """Open the gate; return the time."""
        self._gate.touch()
        return time.monotonic()


class Crowd:
    """Several clients with several requests each."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.clients = [daemon.connect() for _ in range(CLIENTS)]
        self.observer = daemon.connect()
        self._ended: dict[tuple[RawClient, int], Any] = {}

    def close(self) -> None:
        """Disconnect all clients."""
        for client in [*self.clients, self.observer]:
            client.socket.close()

    def ask(self, prompt: str) -> None:
        """Send all requests."""
        for client, request in self._requests(prompt):
            client.send(request)

    def queue(self, prompt: str, first: str | None = None) -> None:
        """Send all requests; wait until the first one runs and the others wait.

        :param first: the prompt of the first client's first.
        """
        (client, request), *others = self._requests(prompt, first)
        client.send(request)
        wait_until(lambda: self.status()["running"])  # the order of reading is not promised
        for client, request in others:
            client.send(request)
        wait_until(lambda: self.status()["queue_length"] == CALLS - 1)

    def _requests(self, prompt: str, first: str | None = None) -> Iterator[tuple[RawClient, Any]]:
        prompts = itertools.chain([first or prompt], itertools.repeat(prompt))
        for client, (number, method) in itertools.product(self.clients, REQUESTS.items()):
            params = run_params(next(prompts))
            yield client, {"jsonrpc": "2.0", "id": number, "method": method, "params": params}

    def status(self) -> Any:
        """The result of server.status."""
        return status_of(self.observer)

    def first(self, number: int = 1) -> Any:
        """The last answer to the request under way, which is the first client's first."""
        while True:
            answer = self.clients[0].line()
            assert answer["id"] == number
            if ends(answer):
                self._ended[self.clients[0], number] = answer
                return answer

    def answers(self) -> list[Any]:
        """The outcome of every other request. Each has one answer, and all clients can go on.

        Returns error codes, and None for what went well.
        """
        rest = []
        for client in self.clients:
            open_ones = {number for number in REQUESTS if (client, number) not in self._ended}
            while open_ones:
                answer = client.line()
                assert answer["id"] in open_ones, answer
                if ends(answer):
                    open_ones.remove(answer["id"])
                    rest.append(answer.get("error", {}).get("code"))
        for client in self.clients:
            assert client.ask("server.ping", None, "still here") == {
                "jsonrpc": "2.0",
                "id": "still here",
                "result": "pong",
            }
        self._ended.clear()
        return rest


@contextmanager
def crowd(daemon: Daemon) -> Iterator[Crowd]:
    """A crowd of clients, which leave at the end."""
    them = Crowd(daemon)
    try:
        yield them
    finally:
        them.close()


def left_over(client: RawClient) -> list[Any]:
    """Every message until the daemon closes the connection."""
    return [json.loads(line) for line in client.eof().splitlines()]
