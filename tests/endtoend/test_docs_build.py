"""The documentation builds without a warning, and the first page leads to every other page."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"
#: Reports at the end whether the documented modules have imported a reactor.
BUILD = """
import sys
from sphinx.cmd.build import main
code = main(sys.argv[1:])
sys.exit(code or "twisted.internet.reactor" in sys.modules)
"""


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Build pages as `make html` does."""
    options = ["-q", "-W", "--keep-going", "-b", "html", str(source), str(target)]
    return subprocess.run(
        [sys.executable, "-c", BUILD, *options], capture_output=True, text=True, timeout=240
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of the built pages."""
    target = tmp_path_factory.mktemp("html")
    done = build(DOCS, target)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def test_every_page_is_there(built: Path) -> None:
    """The build did not import the reactor."""
    pages = {page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")}
    built_pages = {page.relative_to(built) for page in built.rglob("*.html")}
    assert {page for page in pages if page.parts[0] != "_build"} <= built_pages


@pytest.mark.parametrize(
    "name",
    [
        "rkllm_twisted.interfaces.IRPCMethod.call",
        "rkllm_twisted.interfaces.INPU.run",
        "rkllm_twisted.errors.Busy",
        "rkllm_twisted.blocking.Client.run_async",
        "rkllm_twisted.client.Client.run_async",
        "rkllm_twisted.testing.FakeDaemon.listening",
        "rkllm_twisted.tap.makeService",
    ],
)
def test_the_reference_has_the_public_names(built: Path, name: str) -> None:
    """Each name has its own anchor."""
    assert f'id="{name}"' in (built / "api.html").read_text()


def test_the_news_is_in_the_changelog(built: Path) -> None:
    """The page has NEWS.md, preceded by the unreleased news."""
    (first, *_) = re.findall(r"^#+ (.*)$", (PROJECT / "NEWS.md").read_text(), re.MULTILINE)
    said = (built / "changelog.html").read_text()
    assert f">{first}<" in said
    for fragment in (PROJECT / "newsfragments").rglob("*.*.md"):
        first, *_ = re.split("[`*_]", fragment.read_text())
        begun = html.escape(" ".join(first.split()), quote=False)
        assert begun in " ".join(said.split()), fragment.name


@pytest.mark.parametrize(
    ("page", "complaint"),
    [("# Stray\n", "toctree"), ("# Wrong\n\n[link](nowhere.md)\n", "nowhere.md")],
    ids=["in no toctree", "a dead link"],
)
def test_a_page_that_is_wrong_fails_the_build(tmp_path: Path, page: str, complaint: str) -> None:
    """The error names the page."""
    source = tmp_path / "docs"
    source.mkdir()
    for name in ("conf.py", "zope_interfaces.py"):
        shutil.copy(DOCS / name, source)
    (source / "index.md").write_text("# Pages\n")
    (source / "stray.md").write_text(page)
    done = build(source, tmp_path / "html")
    assert done.returncode != 0
    assert "stray.md" in done.stderr
    assert complaint in done.stderr


def test_towncrier_makes_the_news_of_the_next_release() -> None:
    """Each fragment is under the heading of its kind."""
    command = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "1.0"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    fragments = list((PROJECT / "newsfragments").rglob("*.*.md"))
    assert fragments or "No significant changes" in said
    for fragment in fragments:
        assert " ".join(fragment.read_text().split()) in said, fragment.name
