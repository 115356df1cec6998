"""The chat page in a browser: what it says on a bad day, and that it goes on by itself."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon
from web_service import WebService

Gate = Callable[[str], None]
GATED = {"rkllm_input": {"role": "user", "prompt_input": "gate"}}
KEY = "the-right-key-of-this-test"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Callable[..., tuple[Daemon, WebService]]]:
    """Starts a daemon and a service that a test may break."""
    made: list[Any] = []

    def start(*options: str, service: tuple[str, ...] = ()) -> tuple[Daemon, WebService]:
        made.append(Daemon(tmp_path, *options))
        made.append(WebService(tmp_path, made[0].path, *service))
        return made[0], made[1]

    yield start
    daemon, service = made
    service.stop()
    daemon.stop(signal.SIGTERM)


def test_a_message_is_sent_again_when_the_daemon_is_back(
    own: Any, new_chat: Any, models: Path, tmp_path: Path
) -> None:
    options = (f"--model-dir={models}", "--model=quick")
    daemon, service = own(*options)
    chat = new_chat(service.address).open()
    daemon.stop(signal.SIGKILL)
    chat.send("Are you there?")
    chat.sees("#banner", "The daemon is away")
    chat.sees(".phase", "sent again by itself")
    again = Daemon(tmp_path, *options)
    try:
        chat.sees(".body", "Are you there?")
        chat.wait()
        chat.page.locator("#banner").wait_for(state="hidden")
    finally:
        again.stop(signal.SIGTERM)


def test_an_answer_that_the_daemon_left_is_asked_for_again(
    own: Any, new_chat: Any, models: Path, tmp_path: Path, gate: Gate
) -> None:
    options = (f"--model-dir={models}", "--model=quick")
    daemon, service = own(*options)
    chat = new_chat(service.address).open()
    chat.send("gate")
    chat.sees(".body", "One")
    daemon.stop(signal.SIGKILL)
    chat.sees("#banner", "The daemon is away")
    gate("open")
    again = Daemon(tmp_path, *options)
    try:
        chat.sees(".body", "One two.")
        chat.wait()
        assert chat.answers == ["One two."]
    finally:
        again.stop(signal.SIGTERM)


def test_without_a_model_it_says_what_to_do_and_goes_on(
    own: Any, new_chat: Any, models: Path
) -> None:
    daemon, service = own()
    chat = new_chat(service.address)
    chat.page.goto(service.address)
    chat.sees("#banner", "No model is loaded")
    chat.sees("#state-text", "No model")
    daemon.load(models / "quick.script")
    chat.page.locator("#banner").wait_for(state="hidden")
    chat.page.locator("#model:enabled").wait_for()
    chat.ask("Hello")
    assert chat.answers == ["Hello"]


def test_a_key_is_asked_for_until_it_is_right(
    own: Any, new_chat: Any, models: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{KEY}\n")
    keys.chmod(0o600)
    _, service = own(f"--model-dir={models}", service=(f"--api-key-file={keys}",))
    chat = new_chat(service.address)
    chat.page.goto(service.address)
    chat.sees("#key-text", "needs an API key")
    chat.page.fill("#key input", "wrong")
    chat.page.click("#key .primary")
    chat.sees("#key-text", "does not know this API key")
    chat.page.fill("#key input", KEY)
    chat.page.click("#key .primary")
    chat.page.locator("#model:enabled").wait_for()
    chat.ask("Hello")
    assert chat.answers == ["Hello"]
    chat.page.reload()  # the key is kept
    chat.page.locator("#model:enabled").wait_for()


def test_a_full_queue_is_waited_for(chat: Any) -> None:
    tries: list[int] = []

    def answer(route: Any) -> None:
        tries.append(1)
        if len(tries) > 1:
            route.continue_()
            return
        error = {"error": {"message": "Full.", "type": "server_error", "code": "overloaded"}}
        route.fulfill(status=503, json=error, headers={"Retry-After": "1"})

    chat.page.route("**/v1/chat/completions", answer)
    chat.send("Hello")
    chat.sees(".phase", "queue is full")
    chat.sees(".body", "Hello")
    assert len(tries) == 2


def test_a_question_that_crashes_the_runtime_is_given_up(chat: Any) -> None:
    chat.ask("crash")
    chat.sees(".problem", "The runtime crashed")
    chat.page.keyboard.press("Alt+n")
    chat.sees(".welcome")
    chat.ask("Hello")
    assert chat.answers == ["Hello"]


def test_a_request_that_waits_knows_its_place(chat: Any, gate: Gate, daemon: Daemon) -> None:
    with daemon.connect() as other:
        request = {"jsonrpc": "2.0", "id": 1, "method": "rkllm.run", "params": GATED}
        other.send(request)
        chat.send("Hello")
        chat.sees(".phase", "place 1")
        gate("open")
        assert other.line()["id"] == 1
    chat.sees(".body", "Hello")
    chat.wait()


def test_loading_a_model_is_said(chat: Any, gate: Gate) -> None:
    chat.choose("slow")
    chat.send("Hello")
    chat.sees(".phase", "Loading slow")
    gate("loaded")
    chat.sees(".body", "Hello")
    chat.wait()
