"""Carries out the pages that say how a program uses the HTTP service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from web_libraries import CLIENT_S, client_environment

PAGES = Path(__file__).parents[2] / "docs" / "use-from"
SHOWN = "http://127.0.0.1:8080"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks_of(page: str) -> list[tuple[str, str]]:
    """Return language and text of each block of a page."""
    return _BLOCK.findall((PAGES / page).read_text())


class PageReader:
    """Runs a page's blocks in their order, in a home of its own.

    :param address: what stands in place of the address that the pages show.
    :param libraries: where the clients' libraries are.
    :param model: a model to ask in place of the page's.
    """

    def __init__(
        self, home: Path, address: str, libraries: Path | None, model: tuple[str, str] = ("", "")
    ) -> None:
        self._home = home
        self._address = address
        self._model = model
        self._env = {**client_environment(libraries), "HOME": str(home)}
        paths = [Path(sys.executable).parent, *([libraries / ".bin"] if libraries else [])]
        self._env["PATH"] = os.pathsep.join([*map(str, paths), self._env["PATH"]])
        self._printed = ""

    def read(self, page: str, *languages: str) -> str:
        """Carry out the blocks in some languages; return what the last one has printed."""
        for language, text in blocks_of(page):
            if language in languages:
                self._carry_out(language, text)
            elif language == "text" and self._printed:
                assert self._printed == text
                self._printed = ""
        return self._printed

    def _carry_out(self, language: str, shown: str) -> None:
        text = shown.replace(SHOWN, self._address)
        text = text.replace(*self._model) if self._model[0] else text
        match language:
            case "python":
                self._run(sys.executable, "-c", text)
            case "js":
                self._run("node", "-e", text)
            case "yaml":
                self._write(text)
            case "sh" if not re.match("(pip|npm) install|twistd", text):
                self._run("bash", "-euo", "pipefail", "-c", text)

    def _run(self, *command: str) -> None:
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed, so the page is not tried")
        done = subprocess.run(
            command,
            env=self._env,
            cwd=self._home,
            capture_output=True,
            text=True,
            timeout=CLIENT_S,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        self._printed = done.stdout

    def _write(self, text: str) -> None:
        name = re.match(r"# (?:~/)?(\S+)\n", text)
        assert name is not None, "a file names itself in its first line"
        path = self._home / name[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
