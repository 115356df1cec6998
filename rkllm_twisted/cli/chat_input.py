"""The input of ``rkllm chat``: its keys, and what was typed in earlier chats."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent


def state_directory() -> Path:
    """Return the directory for this user's state files (XDG Base Directory Specification)."""
    named = os.environ.get("XDG_STATE_HOME", "")
    base = Path(named) if named.startswith("/") else Path.home() / ".local" / "state"
    return base / "rkllm"


def input_history() -> FileHistory | None:
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


def key_bindings() -> KeyBindings:
    """Return the keys: Enter sends, Alt-Enter and a backslash before Enter begin a new line."""
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
