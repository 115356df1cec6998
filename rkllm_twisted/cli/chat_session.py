"""A conversation with the model, independent of the terminal."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs

from rkllm_twisted.blocking import Client
from rkllm_twisted.client_core.inference_methods import chat_stream
from rkllm_twisted.client_core.inference_results import ChatResult

#: Fields of RKLLMInferParam -> the parameters of ``chat.complete`` that set them.
OPTIONS: Mapping[str, str] = {
    "sampling_params": "sampling",
    "max_new_tokens": "max_new_tokens",
    "lora_params": "lora",
}


@attrs.frozen
class Turn:
    """One message of the conversation.

    :param role: ``user`` or ``assistant``.
    """

    role: str
    text: str


def chat_options(infer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters of ``chat.complete`` for fields of RKLLMInferParam.

    :raises ValueError: chat has no parameter for a field; the text names it.
    """
    unknown = next((name for name in infer if name not in OPTIONS), None)
    if unknown is not None:
        raise ValueError(f"{unknown} cannot be set in a chat; {', '.join(OPTIONS)} can.")
    options = {OPTIONS[name]: value for name, value in infer.items()}
    if isinstance(options.get("lora"), Mapping):
        options["lora"] = options["lora"].get("lora_adapter_name")
    return options


@attrs.define
class ChatSession:
    """A conversation that this program keeps: the daemon gets all of it with each question.

    :param system: the system message; None for none.
    :param options: further parameters of ``chat.complete``.
    :param model: a model by its name; None for the loaded one.
    :ivar turns: the messages, oldest first.
    :ivar result: the last answer, if it is complete.
    """

    client: Client
    system: str | None = None
    options: Mapping[str, Any] = attrs.field(factory=dict)
    model: str | None = None
    turns: list[Turn] = attrs.field(factory=list, init=False)
    result: ChatResult | None = attrs.field(default=None, init=False)

    def messages(self, turns: Sequence[Turn]) -> list[dict[str, str]]:
        """Return the conversation as ``chat.complete`` takes it."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, *({"role": turn.role, "content": turn.text} for turn in turns)]

    @property
    def last_question(self) -> str | None:
        """The last question; None if there is none."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user"), None)

    def ask(self, text: str, *, again: bool = False) -> Generator[str, None, None]:
        """Send a question, and return the answer piece by piece.

        Closing the iterator stops the answer; the pieces so far stay in the conversation. If no
        piece comes, the conversation stays as it was.

        :param again: ask in place of the last question; its answer is forgotten.
        :raises RPCError, Unreachable: as :meth:`Client.stream`.
        """
        asked = [*(self._before_last_question() if again else self.turns), Turn("user", text)]
        call = chat_stream(self.messages(asked), model=self.model, **self.options)
        pieces: list[str] = []
        self.result = None
        try:
            with closing(self.client.stream(call.method, call.params)) as results:
                for piece in map(call.read, results):
                    self.result = piece.result
                    pieces.append(piece.text)
                    yield piece.reasoning or piece.text
        finally:
            if any(pieces):
                self.turns = [*asked, Turn("assistant", "".join(pieces))]

    def _before_last_question(self) -> list[Turn]:
        places = [at for at, turn in enumerate(self.turns) if turn.role == "user"]
        return self.turns[: places[-1]] if places else self.turns

    def clear(self) -> None:
        """Begin a new conversation."""
        self.turns.clear()
        self.result = None

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

    def resume(self, path: Path) -> None:
        """Continue a conversation that :meth:`save` has written as JSON.

        :raises OSError: if the file cannot be read.
        :raises ValueError: if it holds no conversation.
        """
        try:
            content = json.loads(path.read_text("utf-8"))
            turns = [Turn(str(turn["role"]), str(turn["text"])) for turn in content["turns"]]
        except (ValueError, LookupError, TypeError):
            raise ValueError(f"{path} holds no conversation; /save FILE.json writes one.") from None
        self.turns = turns
        self.system = self.system or content.get("system")
