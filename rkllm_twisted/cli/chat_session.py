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
    :param images: the images that it shows, as parts of a message.
    """

    role: str
    text: str
    images: tuple[Mapping[str, object], ...] = ()

    @property
    def content(self) -> object:
        """The content of the message."""
        return [*self.images, {"type": "text", "text": self.text}] if self.images else self.text

    @property
    def saved(self) -> Mapping[str, object]:
        """What a file has of it."""
        images = {"images": self.images} if self.images else {}
        return {"role": self.role, "text": self.text, **images}


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
    :ivar attached: the images that the next question shows, as parts of a message.
    :ivar result: the last answer, if it is complete.
    """

    client: Client
    system: str | None = None
    options: Mapping[str, Any] = attrs.field(factory=dict)
    model: str | None = None
    turns: list[Turn] = attrs.field(factory=list, init=False)
    attached: list[Mapping[str, object]] = attrs.field(factory=list, init=False)
    result: ChatResult | None = attrs.field(default=None, init=False)

    def messages(self, turns: Sequence[Turn]) -> list[dict[str, object]]:
        """Return the conversation as ``chat.complete`` takes it."""
        talk = [Turn("system", self.system), *turns] if self.system else turns
        return [{"role": turn.role, "content": turn.content} for turn in talk]

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
        images = (*(self._last_images() if again else ()), *self.attached)
        before = self._before_last_question() if again else self.turns
        asked = [*before, Turn("user", text, images)]
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
                self.attached = []

    def _last_images(self) -> tuple[Mapping[str, object], ...]:
        questions = [turn for turn in self.turns if turn.role == "user"]
        return questions[-1].images if questions else ()

    def _before_last_question(self) -> list[Turn]:
        places = [at for at, turn in enumerate(self.turns) if turn.role == "user"]
        return self.turns[: places[-1]] if places else self.turns

    def clear(self) -> None:
        """Begin a new conversation."""
        self.turns.clear()
        self.attached.clear()
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
            content = {"system": self.system, "turns": [turn.saved for turn in self.turns]}
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
            turns = [
                Turn(str(turn["role"]), str(turn["text"]), tuple(turn.get("images", ())))
                for turn in content["turns"]
            ]
        except (ValueError, LookupError, TypeError, AttributeError):
            raise ValueError(f"{path} holds no conversation; /save FILE.json writes one.") from None
        self.turns = turns
        self.system = self.system or content.get("system")
