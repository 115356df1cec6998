"""``rkllm chat``: a conversation in a terminal."""

from __future__ import annotations

import os
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
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.utils import get_cwidth

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.chat_session import ChatSession
from rkllm_twisted.cli.connected import model_options, params_option, with_client
from rkllm_twisted.cli.exit_codes import exit_reason
from rkllm_twisted.cli.load import ensure_loaded
from rkllm_twisted.cli.terminal import is_terminal, say, show_wait, waiting, without_echo
from rkllm_twisted.cli.word_wrap import WordWrap
from rkllm_twisted.errors import NotAllowed, RPCError

HELP = """\
Enter sends; Alt-Enter, or a backslash at the end of a line, starts a new line.
Ctrl-C stops the answer; Ctrl-D leaves.
/clear       starts a new conversation
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

    :param read: returns the next input; raises EOFError at the end.
    """

    def __init__(self, conversation: ChatSession, read: Callable[[], str]) -> None:
        self._conversation = conversation
        self._read = read
        self._saved: set[Path] = set()
        self._commands: Mapping[str, Callable[[str], object]] = {
            "/clear": self._clear,
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
                    self._execute(self._read().strip())

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
        except (RPCError, OSError) as error:
            print(f"rkllm: {exit_reason(error).text}", file=sys.stderr)

    def _connect_again_if_lost(self) -> None:
        if self._conversation.client.is_closed:
            self._conversation.reconnect()
            print("Connected again; the model has lost the conversation.", file=sys.stderr)

    def _answer(self, text: str) -> None:
        self._connect_again_if_lost()
        wrap = WordWrap(shutil.get_terminal_size().columns, get_cwidth)
        with without_echo():
            try:
                with closing(self._conversation.ask(text)) as pieces:
                    for piece in show_wait(pieces):
                        say(wrap.feed(piece))
            finally:
                say(wrap.end() + "\n")

    def _clear(self, _: str) -> None:
        self._connect_again_if_lost()
        with waiting("Waiting for the NPU"):
            self._conversation.clear()
        print("A new conversation starts.")

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
        return self._read().strip().lower() in ("y", "yes")

    def _quit(self, _: str) -> None:
        raise EOFError


def figures(conversation: ChatSession) -> str:
    """Return the figures of the last answer as one line."""
    perf = conversation.perf
    if perf is None:
        return (
            "There are no figures: no answer is complete, or this release of the runtime has none."
        )
    return (
        f"prompt: {perf.prefill_tokens} tokens in {perf.prefill_time_ms:.0f} ms"
        f" ({perf.prefill_rate:.1f}/s); answer: {perf.generate_tokens} tokens in"
        f" {perf.generate_time_ms:.0f} ms ({perf.generate_rate:.1f}/s);"
        f" memory: {perf.memory_usage_mb:.0f} MB"
    )


def state_directory() -> Path:
    """Return the directory for this user's state files (XDG Base Directory Specification)."""
    named = os.environ.get("XDG_STATE_HOME", "")
    base = Path(named) if named.startswith("/") else Path.home() / ".local" / "state"
    return base / "rkllm"


def _history() -> FileHistory | None:
    """Return the input of earlier chats; None if it cannot be stored."""
    directory = state_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = directory / "history"
        path.touch(mode=0o600)
    except OSError as error:
        print(f"rkllm: Your input will not be kept for the next chat: {error}.", file=sys.stderr)
        return None
    return FileHistory(str(path))


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.char_before_cursor == "\\":
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


def on_a_terminal(function: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse to start if stdin is not a terminal."""

    @wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        if not is_terminal(sys.stdin):
            context = click.get_current_context()
            raise click.UsageError("A chat needs a terminal; use `rkllm run` in scripts", context)
        return function(*args, **kwargs)

    return command


def _clear_first(conversation: ChatSession) -> None:
    try:
        with waiting("Waiting for the NPU"):
            conversation.clear()
    except NotAllowed:
        raise NotAllowed(
            "All clients share one history, and only an administrator may clear it; continue the"
            " history with: rkllm chat --continue"
        ) from None


@click.command()
@on_a_terminal
@with_client
@model_options
@click.option("--system", help="A system prompt, sent before the first question.")
@click.option("--continue", "go_on", is_flag=True, help="Keep the history of earlier runs.")
@params_option("RKLLMInferParam")
def command(
    client: Client,
    model: str | None,
    reload: bool,
    system: str | None,
    go_on: bool,
    params: Mapping[str, Any],
) -> None:
    """Chat with the model in a terminal.

    Enter sends, Alt-Enter starts a new line, Ctrl-C stops the answer, Ctrl-D leaves; /help lists
    the commands. A chat starts with an empty history, unless --continue is given. On a daemon with
    one history for all clients (--history shared) this clears the history for every client.
    """
    if model is not None:
        ensure_loaded(client, model, reload)
    conversation = ChatSession(client, system, params)
    if not go_on:
        _clear_first(conversation)
    status = conversation.client.status()
    session: PromptSession[str] = PromptSession(
        "> ", history=_history(), multiline=True, key_bindings=_keys(), prompt_continuation="  "
    )
    chat = Chat(conversation, session.prompt)
    session.completer = WordCompleter(chat.commands, sentence=True)
    print(
        f"{status.model_path or 'No model is loaded'} ({status.backend}); /help lists the commands."
    )
    if not conversation.remembers:
        print("This release of the runtime keeps no history: it answers each question by itself.")
    chat.run()
