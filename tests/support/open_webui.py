"""Installs and runs Open WebUI: ``open_webui.py DIRECTORY`` makes its environment there.

``make .venv-open-webui/installed`` does. Its slim form starts without most of what it requires:
without the packages below it is 0.8 GB instead of several.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

PROJECT = Path(__file__).parents[2]
HOME = PROJECT / ".venv-open-webui"
RELEASE = "open-webui == 0.12.4"
#: What it does not import in its slim form.
UNUSED = """
accelerate azure-ai-documentintelligence azure-identity azure-storage-blob chromadb ddgs
docx2txt faster-whisper google-cloud-storage msoffcrypto-tool onnxruntime openpyxl opencv-
python-headless opensearch-py pandas psycopg pyarrow pydub pymysql pypandoc python-docx python-
pptx pyxlsb rank-bm25 rapidocr sentence-transformers sentencepiece soundfile transformers xlrd
youtube-transcript-api
"""
#: What it imports, and would get with one of those.
FOUND_WITH_THEM = ("typer",)
#: Seconds until it serves: the first start makes its database.
MAX_START_S = 120


def install(directory: Path) -> None:
    """Install what the slim form needs into an environment."""
    pip = [str(directory / "bin" / "pip"), "--disable-pip-version-check", "--quiet"]
    with tempfile.TemporaryDirectory() as scratch:
        download = ["download", "--no-deps", "--dest", scratch, RELEASE]
        subprocess.run([*pip, *download], check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        subprocess.run([*pip, "install", "--no-compile", *requirements(wheel)], check=True)
        subprocess.run([*pip, "install", "--no-compile", "--no-deps", wheel], check=True)


def requirements(wheel: Path) -> list[str]:
    """Return what a wheel requires in its slim form."""
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        about = Parser().parsestr(archive.read(name).decode())
    unused = UNUSED.split()
    required = [text for text in about.get_all("Requires-Dist", []) if "extra ==" not in text]
    own = [text for text in required if re.split(r"[\[=<>~! ]", text)[0].lower() not in unused]
    return [*own, *FOUND_WITH_THEM]


class OpenWebUI:
    """The application in a process of its own.

    :param directory: for its data and its log.
    :param port: where it serves.
    :param settings: of its environment.
    """

    def __init__(self, directory: Path, port: int, settings: Mapping[str, str]) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._log = directory / "log"
        command = [str(HOME / "bin" / "open-webui"), "serve", "--host=127.0.0.1", f"--port={port}"]
        own = {"DATA_DIR": str(directory), "USE_SLIM_DOCKER": "true", "HF_HUB_OFFLINE": "1"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=directory,
                env={**settings, **own},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> None:
        """Wait until it serves."""
        deadline = time.monotonic() + MAX_START_S
        while not self._serves():
            assert self._process.poll() is None, self._log.read_text()[-3000:]
            assert time.monotonic() < deadline, self._log.read_text()[-3000:]
            time.sleep(0.2)  # until it serves

    def _serves(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


if __name__ == "__main__":
    install(Path(sys.argv[1]))
