"""``make release`` writes a version and its changes everywhere, and finds what contradicts it."""

from __future__ import annotations

import importlib.util
import itertools
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).parents[2]
PACKAGES = (
    "rkllm_twisted-1.2.0.tar.gz",
    "rkllm_twisted-1.2.0-py3-none-linux_aarch64.whl",
    "rkllm-twisted_1.2.0_arm64.deb",
)


@pytest.fixture(scope="module")
def release() -> ModuleType:
    """packaging/release.py as a module."""
    spec = importlib.util.spec_from_file_location("release", PROJECT / "packaging/release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files of a project that a release changes, with two changes."""
    for name in ("setup.cfg", "pyproject.toml", "README.md"):
        shutil.copy(PROJECT / name, tmp_path)
    (tmp_path / "packaging").mkdir()
    shutil.copy(PROJECT / "packaging/news.md.jinja", tmp_path / "packaging")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/install.md").write_text("apt install ./rkllm-twisted_0.1.0_arm64.deb\n")
    (tmp_path / "NEWS.md").write_text("# News\n\n<!-- towncrier release notes start -->\n")
    news = tmp_path / "newsfragments"
    (news / "command").mkdir(parents=True)
    (news / "+faster.feature.md").write_text("Everything is faster.\n")
    (news / "command" / "+typo.bugfix.md").write_text("`rkllm chat` spells its name right.\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def test_a_release_is_written_everywhere(release: ModuleType, project: Path) -> None:
    """The version and the changes; the fragments are gone, and nothing contradicts it."""
    release.prepare(project, "1.2.0")
    assert "\nversion = 1.2.0\n" in (project / "setup.cfg").read_text()
    assert "rkllm-twisted_1.2.0_arm64.deb" in (project / "docs/install.md").read_text()
    news = (project / "NEWS.md").read_text()
    assert "# rkllm_twisted 1.2.0 (" in news
    assert news.index("Everything is faster.") < news.index("## The command")
    assert news.index("## The command") < news.index("spells its name right")
    assert not list((project / "newsfragments").rglob("*.*.md"))
    assert list(release.problems(project, "1.2.0")) == []


def test_the_next_release_stands_before_the_last_one(release: ModuleType, project: Path) -> None:
    """With the changes since."""
    release.prepare(project, "1.2.0")
    (project / "newsfragments/+later.feature.md").write_text("Something later.\n")
    release.prepare(project, "1.10.0")
    news = (project / "NEWS.md").read_text()
    assert news.index("1.10.0") < news.index("Something later.") < news.index("1.2.0")
    assert list(release.problems(project, "1.10.0")) == []


def test_a_section_of_more_than_two_pages_is_told(release: ModuleType, project: Path) -> None:
    """An older section does not count."""
    (project / "newsfragments/+long.feature.md").write_text("word " * 1200)
    release.prepare(project, "1.2.0")
    [problem] = release.problems(project, "1.2.0")
    assert "shorten it to 1200, which are two pages" in problem
    (project / "newsfragments/+short.feature.md").write_text("One word.")
    release.prepare(project, "1.3.0")
    assert list(release.problems(project, "1.3.0")) == []


@pytest.mark.parametrize("version", ["1", "1.2", "v1.2.0", "1.2.0rc1", "", "0.1.0"])
def test_a_version_that_cannot_be_is_refused(
    release: ModuleType, project: Path, version: str
) -> None:
    """One that is no version, or older than the last release; nothing is written."""
    if version == "0.1.0":
        release.prepare(project, "1.2.0")
    before = (project / "setup.cfg").read_text()
    with pytest.raises(ValueError, match="version|newer"):
        release.prepare(project, version)
    assert (project / "setup.cfg").read_text() == before


def test_a_release_can_be_made_again(release: ModuleType, project: Path) -> None:
    """After the packages could not be built, for example; the news stays as it is."""
    release.prepare(project, "1.2.0")
    news = (project / "NEWS.md").read_text()
    (project / "docs/install.md").write_text("apt install ./rkllm-twisted_1.1.0_arm64.deb\n")
    release.prepare(project, "1.2.0")
    assert (project / "NEWS.md").read_text() == news
    assert list(release.problems(project, "1.2.0")) == []


def test_a_release_that_is_in_the_news_takes_no_further_changes(
    release: ModuleType, project: Path
) -> None:
    """A second section of one version would say which changes came first."""
    release.prepare(project, "1.2.0")
    (project / "newsfragments/+later.feature.md").write_text("Something later.\n")
    with pytest.raises(ValueError, match=r"section of version 1\.2\.0 without 1 news fragments"):
        release.prepare(project, "1.2.0")


def test_no_heading_of_the_news_skips_a_level(release: ModuleType, project: Path) -> None:
    """Also if several kinds of changes belong to no section: Sphinx warns otherwise."""
    (project / "newsfragments/+slow.bugfix.md").write_text("Nothing is slow.\n")
    (project / "newsfragments/command/+new.feature.md").write_text("New.\n")
    release.prepare(project, "1.2.0")
    lines = (project / "NEWS.md").read_text().splitlines()
    levels = [len(line.split()[0]) for line in lines if line.startswith("#")]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("setup.cfg", "[metadata]\nversion = 1.1.0\n", "setup.cfg has the version 1.1.0."),
        ("NEWS.md", "# News\n", "The newest section of NEWS.md is missing."),
        (
            "NEWS.md",
            "# rkllm_twisted 1.2.0 (2026-01-02)\n\n# rkllm_twisted 1.2.0 (2026-01-01)\n",
            "NEWS.md has 2 sections of 1.2.0.",
        ),
        ("newsfragments/+x.feature.md", "X", "newsfragments/+x.feature.md is not in NEWS.md."),
        (
            "docs/install.md",
            "rkllm-twisted_1.1.0_arm64.deb",
            "docs/install.md names the package of 1.1.0.",
        ),
    ],
)
def test_a_contradiction_is_found(
    release: ModuleType, project: Path, name: str, text: str, problem: str
) -> None:
    """Each by a sentence that names the file."""
    release.prepare(project, "1.2.0")
    (project / name).write_text(text)
    assert list(release.problems(project, "1.2.0")) == [problem]


def test_packages_of_the_version_are_right(release: ModuleType, project: Path) -> None:
    """A source distribution, a wheel and a Debian package."""
    release.prepare(project, "1.2.0")
    (dist := project / "dist").mkdir()
    for name in PACKAGES:
        (dist / name).touch()
    assert list(release.problems(project, "1.2.0", dist)) == []


@pytest.mark.parametrize("missing", PACKAGES)
def test_a_package_of_another_version_is_found(
    release: ModuleType, project: Path, missing: str
) -> None:
    """It is named, and the right one is missed."""
    release.prepare(project, "1.2.0")
    (dist := project / "dist").mkdir()
    for name in PACKAGES:
        (dist / (name.replace("1.2.0", "1.1.0") if name == missing else name)).touch()
    found = list(release.problems(project, "1.2.0", dist))
    assert found[0] == f"{missing.replace('1.2.0', '1.1.0')} is not a package of 1.2.0."
    assert len(found) == 2


def test_the_project_itself_contradicts_itself_nowhere(release: ModuleType) -> None:
    """But for changes that are not released yet."""
    setup = release.configparser.ConfigParser()
    setup.read(PROJECT / "setup.cfg")
    found = release.problems(PROJECT, setup["metadata"]["version"])
    assert [one for one in found if "newsfragments" not in one and "NEWS.md" not in one] == []
