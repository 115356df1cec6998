"""A conversation with the model, independent of the terminal."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import attrs

from rkllm_twisted.blocking import Client
from rkllm_twisted.client_core.methods import run_async
from rkllm_twisted.client_core.results import Perf
from rkllm_twisted.errors import NoModel, NotInRelease

#: The first release with `keep_history` and `rkllm_clear_kv_cache`.
FIRST_WITH_HISTORY = (1, 2)


@attrs.frozen
class Turn:
    """One message of the conversation.

    :param role: ``user`` or ``assistant``.
    """

    role: str
    text: str


@attrs.define
class ChatSession:
    """A conversation of which the model keeps the history.

    :param system: the system prompt. It is sent before the first question, which works on any
        release and with any model; `rkllm_set_chat_template` would need the model's whole template
        and would change it for every client.
    :param params: further fields of the RKLLMInferParam.
    :ivar turns: the messages, oldest first.
    :ivar perf: the figures of the last answer.
    """

    client: Client
    system: str | None = None
    params: Mapping[str, Any] = attrs.field(factory=dict)
    turns: list[Turn] = attrs.field(factory=list, init=False)
    perf: Perf | None = attrs.field(default=None, init=False)
    _remembers: bool | None = attrs.field(default=None, init=False)

    def ask(self, text: str) -> Generator[str, None, None]:
        """Send a question, and return the answer piece by piece.

        Closing the iterator stops the answer; the pieces so far stay in the conversation.

        :raises RPCError, Unreachable: as :meth:`Client.stream`.
        """
        prompt = f"{self.system}\n\n{text}" if self.system and not self.turns else text
        infer = {**({"keep_history": 1} if self.remembers else {}), **self.params}
        call = run_async(prompt, **infer)
        pieces = []
        self.perf = None
        try:
            with closing(self.client.stream(call.method, call.params)) as results:
                for result in map(call.read, results):
                    self.perf = result.perf
                    pieces.append(result.text)
                    yield result.text
        finally:
            if pieces:
                self.turns += Turn("user", text), Turn("assistant", "".join(pieces))

    @property
    def remembers(self) -> bool:
        """True if the loaded release can keep a history."""
        if self._remembers is None:
            release = self.client.version().runtime.abi.split(".")
            self._remembers = tuple(map(int, release[:2])) >= FIRST_WITH_HISTORY
        return self._remembers

    def clear(self) -> None:
        """Begin a new conversation: clear the daemon's history and this one.

        With ``--history connection`` the daemon clears by itself when another connection runs the
        model, so this makes a new connection. That needs no right to clear.

        :raises NotAllowed: if only an administrator may clear the history of all clients.
        """
        if self.client.status().history == "connection":
            self.reconnect()
        else:
            with suppress(NotInRelease, NoModel):
                self.client.clear_kv_cache()
        self.turns.clear()
        self.perf = None

    def reconnect(self) -> None:
        """Replace the connection by a new one.

        :raises Unreachable: if the daemon is not there.
        """
        self.client.close()
        self.client = Client(self.client.path, timeout=self.client.timeout)

    def save(self, path: Path) -> None:
        """Write the conversation as JSON if the name ends in .json, otherwise as Markdown.

        :raises OSError: if the file cannot be written.
        """
        if path.suffix == ".json":
            content = {"system": self.system, "turns": [attrs.asdict(turn) for turn in self.turns]}
            text = json.dumps(content, ensure_ascii=False, indent=2)
        else:
            first = [f"*{self.system}*"] if self.system else []
            text = "\n\n".join(first + [f"**{turn.role}:** {turn.text}" for turn in self.turns])
        path.write_text(text + "\n", encoding="utf-8")
