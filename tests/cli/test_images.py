"""Images in ``rkllm chat`` and ``rkllm run``, without a daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rkllm_twisted.cli import main
from rkllm_twisted.cli.chat import Chat
from rkllm_twisted.cli.chat_session import ChatSession, Turn
from rkllm_twisted.client_core.images import image_part

PNG = b"\x89PNG\r\n\x1a\n"


class Asked:
    """Stands for a client: it keeps the requests, and answers with one word."""

    is_closed = False

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def stream(self, method: str, params: Any) -> Any:
        self.messages.append(params["messages"])

        def pieces() -> Any:
            yield {"content": "Yes."}

        return pieces()


@pytest.fixture
def session() -> ChatSession:
    return ChatSession(Asked())  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    return path


def sent(session: ChatSession) -> list[Any]:
    messages: list[Any] = session.client.messages  # type: ignore[attr-defined]
    return [message["content"] for message in messages[-1]]


def typed(session: ChatSession, *lines: str) -> None:
    left = [*lines, "/quit"]
    Chat(session, lambda _: left.pop(0)).run()


QUESTION = [image_part(PNG), {"type": "text", "text": "What?"}]


def test_an_image_goes_with_the_next_question_only(
    session: ChatSession, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(session, f"/image {file}", "What?", "And?")
    assert sent(session) == [QUESTION, "Yes.", "And?"]
    assert "The next question shows a picture." in capsys.readouterr().out


def test_asking_again_shows_the_image_again(session: ChatSession, file: Path) -> None:
    typed(session, f"/image {file}", "Eh?", "/edit What?")
    assert sent(session) == [QUESTION]


def test_what_is_no_image_is_said_and_the_chat_goes_on(
    session: ChatSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("x")
    typed(session, "/image", f"/image {tmp_path}/a.txt", f"/image {tmp_path}/none", "Hi")
    assert sent(session) == ["Hi"]
    out, err = capsys.readouterr()
    assert "/image FILE" in out
    assert "a.txt is no JPEG, PNG or WebP picture." in err
    assert "none" in err


@pytest.mark.parametrize("typed_name", ["{}", "'{}'", '"{}"', "{escaped}"])
def test_a_name_may_be_quoted_as_terminals_quote_a_dropped_file(
    session: ChatSession, tmp_path: Path, typed_name: str
) -> None:
    path = tmp_path / "my picture.png"
    path.write_bytes(PNG)
    name = typed_name.format(path, escaped=str(path).replace(" ", "\\ "))
    typed(session, f"/image {name}", "What?")
    assert sent(session) == [QUESTION]


def test_a_saved_conversation_has_its_images(session: ChatSession, tmp_path: Path) -> None:
    session.turns = [Turn("user", "What?", (image_part(PNG),)), Turn("assistant", "Yes.")]
    session.save(tmp_path / "c.json")
    other = ChatSession(Asked())  # type: ignore[arg-type]
    other.resume(tmp_path / "c.json")
    assert other.turns == session.turns
    typed(other, "And?")
    assert sent(other)[0] == QUESTION


def test_run_names_a_file_that_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    done = CliRunner().invoke(main, ["run", "--image", str(tmp_path / "a.txt"), "What?"])
    assert done.exit_code == 2
    assert "a.txt is no JPEG, PNG or WebP picture" in done.output
