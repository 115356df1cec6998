"""``rkllm chat``: a conversation in a terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from functools import wraps
from pathlib import Path
from typing import Any

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.utils import get_cwidth

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.chat_input import input_history, key_bindings
from rkllm_twisted.cli.chat_session import ChatSession, chat_options
from rkllm_twisted.cli.connected import model_options, params_option, with_client
from rkllm_twisted.cli.exit_codes import exit_reason
from rkllm_twisted.cli.images import image_option, named_file
from rkllm_twisted.cli.load import ensure_loaded
from rkllm_twisted.cli.terminal import is_terminal, say, show_wait, without_echo
from rkllm_twisted.cli.word_wrap import WordWrap
from rkllm_twisted.client_core.images import image_part
from rkllm_twisted.errors import RPCError

HELP = """\
Enter sends; Alt-Enter, or a backslash at the end of a line, starts a new line.
Ctrl-C stops the answer; Ctrl-D leaves.
/clear       starts a new conversation
/retry       asks the last question again
/edit        opens the last question, to be changed and asked instead
/edit TEXT   asks TEXT in place of the last question
/image FILE  shows a picture with the next question
/system TEXT sets the system message; without TEXT shows it
/model NAME  continues with another model; without NAME lists the models
/tokens      shows how many tokens the conversation has
/perf        shows the figures of the last answer
/save FILE   writes the conversation to a file: JSON if its name ends in .json, else Markdown
/help        shows this help
/quit        leaves; so do /bye, /exit, quit and exit
To load a model, leave and run: rkllm init PATH
"""


#: The input that leaves the chat, here or in similar programs.
LEAVE = ("/quit", "/bye", "/exit", "/q", "quit", "exit")


class Chat:
    """Reads questions and commands, and executes them.

    :param read: returns the next input, which the user makes of a text that is there already;
        raises EOFError at the end.
    """

    def __init__(self, conversation: ChatSession, read: Callable[[str], str]) -> None:
        self._conversation = conversation
        self._read = read
        self._saved: set[Path] = set()
        self._commands: Mapping[str, Callable[[str], object]] = {
            "/clear": self._clear,
            "/retry": self._retry,
            "/edit": self._edit,
            "/image": self._image,
            "/system": self._system,
            "/model": self._model,
            "/tokens": self._tokens,
            "/perf": lambda _: print(figures(self._conversation)),
            "/save": self._save,
            "/help": lambda _: print(HELP, end=""),
            **dict.fromkeys(LEAVE, self._quit),
        }

    @property
    def commands(self) -> list[str]:
        """The commands, which begin with a slash."""
        return [name for name in self._commands if name.startswith("/")]

    def run(self) -> None:
        """Read and execute until the end of the input.

        If the daemon stops, the chat stays and connects again at the next question: otherwise the
        shell would execute what the user types next.
        """
        with suppress(EOFError):
            while True:
                with suppress(KeyboardInterrupt):
                    self._execute(self._read("").strip())

    def _execute(self, text: str) -> None:
        name, _, rest = text.partition(" ")
        if text in LEAVE:
            raise EOFError
        if name.startswith("/"):
            command = self._commands.get(name)
            if command is None:
                print(f"There is no command {name}; /help lists the commands.")
            else:
                self._attempt(lambda: command(rest.strip()))
        elif text:
            self._attempt(lambda: self._answer(text))

    def _attempt(self, work: Callable[[], object]) -> None:
        """Print an error of the daemon or of a file, and continue."""
        try:
            work()
        except ValueError as error:
            print(f"rkllm: {error}", file=sys.stderr)
        except (RPCError, OSError) as error:
            print(f"rkllm: {exit_reason(error).text}", file=sys.stderr)

    def _connect_again_if_lost(self) -> None:
        if self._conversation.client.is_closed:
            self._conversation.reconnect()
            print("Connected again.", file=sys.stderr)

    def _answer(self, text: str, *, again: bool = False) -> None:
        self._connect_again_if_lost()
        wrap = WordWrap(shutil.get_terminal_size().columns, get_cwidth)
        with without_echo():
            try:
                with closing(self._conversation.ask(text, again=again)) as pieces:
                    for piece in show_wait(pieces):
                        say(wrap.feed(piece))
            finally:
                say(wrap.end() + "\n")

    def _clear(self, _: str) -> None:
        self._conversation.clear()
        print("A new conversation starts.")

    def _retry(self, _: str) -> None:
        self._ask_again(lambda question: question)

    def _edit(self, text: str) -> None:
        self._ask_again(lambda question: text or self._read(question).strip())

    def _ask_again(self, changed: Callable[[str], str]) -> None:
        question = self._conversation.last_question
        if question is None:
            print("There is no question to ask again.")
        elif text := changed(question):
            self._answer(text, again=True)

    def _image(self, name: str) -> None:
        if not name:
            print("Give the name of a file: /image FILE")
            return
        attached = self._conversation.attached
        attached.append(image_part(named_file(name)))
        words = "a picture" if len(attached) == 1 else f"{len(attached)} pictures"
        print(f"The next question shows {words}.")

    def _system(self, text: str) -> None:
        if text:
            self._conversation.system = text
        print(self._conversation.system or "There is no system message.")

    def _model(self, name: str) -> None:
        self._connect_again_if_lost()
        client = self._conversation.client
        if name:
            self._conversation.model = client.show_model(name).name
            print(f"{self._conversation.model} answers from now on.")
            return
        models = client.list_models().models
        if not models:
            print("The daemon knows no models by name: it was started without --model-dir.")
        for model in models:
            print(f"{'*' if model.loaded else ' '} {model.name}")

    def _tokens(self, _: str) -> None:
        self._connect_again_if_lost()
        conversation = self._conversation
        questions = [turn for turn in conversation.turns if turn.role == "user"]
        if not questions:
            print("The conversation is empty.")
            return
        messages = conversation.messages(conversation.turns[:-1])
        count = conversation.client.count_tokens(model=conversation.model, messages=messages)
        print(f"{count} tokens up to the last question.")

    def _save(self, name: str) -> None:
        if not name:
            print("Give the name of a file: /save FILE")
            return
        path = Path(name).expanduser()
        if not self._conversation.turns:
            print("The conversation is empty, so nothing was saved.")
            return
        if path.exists() and path not in self._saved and not self._may_replace(path):
            print(f"{path} was not changed.")
            return
        self._conversation.save(path)
        self._saved.add(path)
        print(f"Saved {len(self._conversation.turns)} turns to {path}.")

    def _may_replace(self, path: Path) -> bool:
        print(f"{path} exists. Type yes to replace it:")
        return self._read("").strip().lower() in ("y", "yes")

    def _quit(self, _: str) -> None:
        raise EOFError


def figures(conversation: ChatSession) -> str:
    """Return the figures of the last answer as one line."""
    if conversation.result is None:
        return "There are no figures: no answer is complete."
    usage = conversation.result.usage
    read = usage.prompt_tokens - usage.cached_tokens
    return (
        f"prompt: {usage.prompt_tokens} tokens, {usage.cached_tokens} of them in the cache,"
        f" {read} read in {usage.prefill_ms:.0f} ms ({_rate(read, usage.prefill_ms)}/s); answer:"
        f" {usage.completion_tokens} tokens in {usage.generate_ms:.0f} ms"
        f" ({_rate(usage.completion_tokens, usage.generate_ms)}/s)"
    )


def _rate(count: int, milliseconds: float) -> str:
    return f"{1000 * count / milliseconds:.1f}" if milliseconds else "-"


def on_a_terminal(function: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse to start if stdin is not a terminal."""

    @wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        if not is_terminal(sys.stdin):
            context = click.get_current_context()
            raise click.UsageError("A chat needs a terminal; use `rkllm run` in scripts", context)
        return function(*args, **kwargs)

    return command


@click.command()
@on_a_terminal
@with_client
@model_options
@click.option("--system", help="A system message.")
@click.option(
    "--resume",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Continue a conversation that /save has written as JSON.",
)
@image_option
@params_option("RKLLMInferParam")
def command(
    client: Client,
    model: str | None,
    reload: bool,
    system: str | None,
    resume: Path | None,
    images: list[Mapping[str, object]],
    params: Mapping[str, Any],
) -> None:
    """Chat with the model in a terminal.

    Enter sends, Alt-Enter starts a new line, Ctrl-C stops the answer, Ctrl-D leaves; /help lists
    the commands. Several people may chat at once: none reads another's conversation.
    """
    if model is not None:
        ensure_loaded(client, model, reload)
    try:
        conversation = ChatSession(client, system, chat_options(params))
        if resume is not None:
            conversation.resume(resume)
        conversation.attached += images
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from None
    status = conversation.client.status()
    session: PromptSession[str] = PromptSession(
        "> ",
        history=input_history(),
        multiline=True,
        key_bindings=key_bindings(),
        prompt_continuation="  ",
    )
    chat = Chat(conversation, lambda text: session.prompt(default=text))
    session.completer = WordCompleter(chat.commands, sentence=True)
    print(
        f"{status.model_path or 'No model is loaded'} ({status.backend}); /help lists the commands."
    )
    if conversation.turns:
        print(f"The conversation has {len(conversation.turns)} turns.")
    chat.run()
