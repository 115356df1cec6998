"""A conversation with the model, without the terminal that it is held in."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import attrs

from rkllm_twisted.blocking import Client
from rkllm_twisted.client_core.calls import run_async
from rkllm_twisted.client_core.results import Perf
from rkllm_twisted.errors import NoModel, NotInRelease

#: The first release whose runs can keep their history, and whose history can be cleared.
REMEMBERS = (1, 2)


@attrs.frozen
class Turn:
    """What one side said.

    :param role: ``user`` or ``assistant``.
    """

    role: str
    text: str


@attrs.define
class ChatSession:
    """Questions and answers, which the model reads on from.

    :param system: stands before the first question of a conversation, on any release and with any
        model: a chat template's own place for it would change the template for every client.
    :param params: further fields of the RKLLMInferParam.
    :ivar turns: what was said, oldest first.
    :ivar perf: the last answer's figures.
    """

    client: Client
    system: str | None = None
    params: Mapping[str, Any] = attrs.field(factory=dict)
    turns: list[Turn] = attrs.field(factory=list, init=False)
    perf: Perf | None = attrs.field(default=None, init=False)
    _remembers: bool | None = attrs.field(default=None, init=False)

    def ask(self, text: str) -> Generator[str, None, None]:
        """Ask, and give the answer piece by piece.

        Closing the iterator stops the answer; what came of it belongs to the conversation.

        :raises RPCError, Unreachable: as :meth:`Client.stream`.
        """
        prompt = f"{self.system}\n\n{text}" if self.system and not self.turns else text
        infer = {**({"keep_history": 1} if self.remembers else {}), **self.params}
        call = run_async(prompt, **infer)
        said = []
        self.perf = None
        try:
            with closing(self.client.stream(call.method, call.params)) as results:
                for result in map(call.read, results):
                    self.perf = result.perf
                    said.append(result.text)
                    yield result.text
        finally:
            if said:
                self.turns += Turn("user", text), Turn("assistant", "".join(said))

    @property
    def remembers(self) -> bool:
        """Can the loaded release keep what was said?"""
        if self._remembers is None:
            release = self.client.version().runtime.abi.split(".")
            self._remembers = tuple(map(int, release[:2])) >= REMEMBERS
        return self._remembers

    def clear(self) -> None:
        """Begin anew: nothing that was said, here or by others, is read on from."""
        with suppress(NotInRelease, NoModel):
            self.client.clear_kv_cache()
        self.turns.clear()
        self.perf = None

    def save(self, path: Path) -> None:
        """Write what was said: JSON where the name ends so, Markdown otherwise.

        :raises OSError: it cannot be written.
        """
        if path.suffix == ".json":
            content = {"system": self.system, "turns": [attrs.asdict(turn) for turn in self.turns]}
            text = json.dumps(content, ensure_ascii=False, indent=2)
        else:
            first = [f"*{self.system}*"] if self.system else []
            text = "\n\n".join(first + [f"**{turn.role}:** {turn.text}" for turn in self.turns])
        path.write_text(text + "\n", encoding="utf-8")
