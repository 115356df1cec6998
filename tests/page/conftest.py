"""A browser, and the chat page of a service over a scripted model."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon
from web_service import WebService

HERE = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
#: Milliseconds after which what the page was expected to show is missing.
PATIENCE_MS = 60_000
#: What the model plays when a question has the word. It waits for files below GATES.
SCRIPT = r"""#!rkllm-script 1
context 4096
run when "gate"
  token "One"
  wait "GATES/open"
  token " two."
  finish
run when "endless"
  delay 20
  repeat 1000000 token "on and "
  finish
run when "html"
  token "<img src=x onerror=alert(1)><script>alert(2)</script>"
  token " [a](javascript:alert(3)) <b>bold</b> [w](https://a.example/)"
  finish
run when "crash"
  token "Half an"
  segv
run when "rich"
  token "## A plan\n\nDo **this** in *order*, with `make`:\n\n1. one\n2. two\n   - nested\n\n"
  token "```python\nprint('x')\n```\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n> quoted\n"
  finish
run
  echo
  finish
"""
SLOW_LOAD = SCRIPT.replace("context 4096", 'context 4096\ninit wait "GATES/loaded"')
#: An answer may take all of the context: over a minute, for the endless one.
PARAM = "[param]\nmax_context_len = 4096\nmax_new_tokens = -1\n"

Gate = Callable[[str], None]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, without a window."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (pip install playwright)"
    )
    if CHROMIUM is None:
        pytest.skip("chromium is not installed, so the chat page is not tried in a browser")
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--no-proxy-server", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, which finds what a screen reader's user would miss."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, so axe-core is not tried")
    directory = tmp_path_factory.mktemp("npm")
    for name in ("package.json", ".npmrc"):
        shutil.copy(HERE / name, directory)
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120)
    if done.returncode != 0 and "CI" not in os.environ:
        pytest.skip("npm could not install axe-core: " + done.stderr.strip()[-300:])
    assert done.returncode == 0, done.stderr
    return (directory / "node_modules/axe-core/axe.min.js").read_text()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two models, ``quick`` and ``slow``; the second is loaded at a gate."""
    directory = tmp_path_factory.mktemp("models")
    for name, script in (("quick", SCRIPT), ("slow", SLOW_LOAD)):
        (directory / f"{name}.script").write_text(script.replace("GATES", str(directory)))
        (directory / f"{name}.rkllm.toml").write_text(PARAM)
    return directory


@pytest.fixture
def gate(models: Path) -> Iterator[Gate]:
    """Opens a gate of the script; all are shut after the test."""
    yield lambda name: (models / name).touch()
    for name in ("open", "loaded"):
        (models / name).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Daemon]:
    """One daemon for all tests of a file."""
    options = (f"--model-dir={models}", "--model=quick")
    daemon = Daemon(tmp_path_factory.mktemp("daemon"), *options)
    yield daemon
    daemon.stop(signal.SIGTERM)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, daemon: Daemon) -> Iterator[WebService]:
    """One service for all tests of a file."""
    service = WebService(tmp_path_factory.mktemp("http"), daemon.path)
    yield service
    service.stop()


class Chat:
    """The page in a browser, as a user sees it."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.address = address
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())

    def open(self) -> Chat:
        """Go to the page, and wait until it knows the models."""
        self.page.goto(self.address)
        self.page.locator("#model:enabled").wait_for()
        return self

    def choose(self, model: str) -> None:
        """Choose a model."""
        self.page.select_option("#model", model)

    def send(self, text: str) -> None:
        """Write a message and send it with Enter."""
        self.page.fill("#prompt", text)
        self.page.press("#prompt", "Enter")

    def ask(self, text: str) -> None:
        """Send a message, and wait for the end of the answer."""
        shown = self.page.locator(".message.assistant")
        count = shown.count()
        self.send(text)
        shown.nth(count).wait_for(state="attached")
        self.wait()

    def wait(self) -> None:
        """Wait for the end of an answer."""
        self.page.locator("#send").wait_for()
        self.page.locator('#messages[aria-busy="false"]').wait_for()

    def sees(self, selector: str, text: str | None = None) -> Any:
        """Wait until something is shown, and return it."""
        found = self.page.locator(selector, has_text=text) if text else self.page.locator(selector)
        found.first.wait_for()
        return found.first

    def texts(self, selector: str) -> list[str]:
        """The texts of elements."""
        return [str(text) for text in self.page.locator(selector).all_inner_texts()]

    @property
    def questions(self) -> list[str]:
        """What the user has written, as shown."""
        return self.texts(".message.user .bubble")

    @property
    def answers(self) -> list[str]:
        """The answers that are shown."""
        return self.texts(".message.assistant .body")


@pytest.fixture
def new_chat(browser: Any) -> Iterator[Callable[..., Chat]]:
    """Opens the page in browsers that know nothing of each other."""
    contexts: list[Any] = []
    chats: list[Chat] = []

    def open_one(address: str, **options: Any) -> Chat:
        contexts.append(browser.new_context(**options))
        chats.append(Chat(contexts[-1].new_page(), address))
        return chats[-1]

    yield open_one
    errors = [error for chat in chats for error in chat.errors]
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def chat(new_chat: Callable[..., Chat], service: WebService) -> Chat:
    """The page, open."""
    return new_chat(service.address).open()
