"""Makes a release ready, and checks that its parts agree: ``make release VERSION=x.y.z``.

``release.py prepare VERSION`` writes the version into setup.cfg and the pages, and the news
fragments into NEWS.md. ``release.py check VERSION [DIRECTORY]`` finds what contradicts the
version, in the packages of DIRECTORY too. The commit, the tag and the upload remain for the
maintainer.
"""

from __future__ import annotations

import argparse
import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parent.parent
VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")
#: What a page calls the Debian package of a release.
PACKAGE = re.compile(rf"(rkllm-twisted_)({VERSION.pattern})(?=_)")
SECTION = re.compile(rf"^# rkllm_twisted ({VERSION.pattern}) ", re.MULTILINE)
#: Two pages, with 60 lines of 95 characters each: so much is read before an installation.
MAX_NEWS_WORDS = 1200
#: The packages of a release; groups: the version.
NAMES = (
    re.compile(r"rkllm_twisted-(.+)\.tar\.gz"),
    re.compile(r"rkllm_twisted-(.+?)-py3-none-linux_\w+\.whl"),
    re.compile(r"rkllm-twisted_(.+)_\w+\.deb"),
)


def prepare(project: Path, version: str) -> None:
    """Write a version and its changes where they belong.

    It may be repeated for the newest section of NEWS.md, after packages could not be built.

    :raises ValueError: this is no version, or older than the last release, or NEWS.md has it
        without changes that have been made since.
    :raises subprocess.CalledProcessError: towncrier failed.
    """
    if not VERSION.fullmatch(version):
        raise ValueError(f"A version is three numbers, such as 1.2.0, not {version!r}.")
    released = SECTION.findall((project / "NEWS.md").read_text("utf-8"))
    if released and _key(version) < max(map(_key, released)):
        raise ValueError(f"{released[0]} has been released; {version} is not newer.")
    fragments = _fragments(project)
    if version in released and fragments:
        raise ValueError(
            f"NEWS.md has a section of version {version} without {len(fragments)} news fragments;"
            " write them into it and delete them, or release a newer version."
        )
    _replace(project / "setup.cfg", r"^(version = ).*$", rf"\g<1>{version}")
    for page in _pages(project):
        _replace(page, PACKAGE.pattern, rf"\g<1>{version}")
    if version not in released:
        command = [sys.executable, "-m", "towncrier", "build", "--yes", "--version", version]
        subprocess.run(command, cwd=project, check=True)


def _key(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _fragments(project: Path) -> list[Path]:
    return sorted((project / "newsfragments").rglob("*.*.md"))


def _news_words(project: Path) -> int:
    """Count the words of the newest section of NEWS.md."""
    sections = SECTION.split((project / "NEWS.md").read_text("utf-8"))  # text, version, text, …
    return len(sections[2].split()) if len(sections) > 2 else 0


def _pages(project: Path) -> list[Path]:
    return [project / "README.md", *sorted((project / "docs").rglob("*.md"))]


def _replace(path: Path, pattern: str, replacement: str) -> None:
    text = path.read_text("utf-8")
    changed = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    if changed != text:
        path.write_text(changed, "utf-8")


def problems(project: Path, version: str, packages: Path | None = None) -> Iterator[str]:
    """Find what contradicts a version; a sentence for each.

    :param packages: a directory of built packages; without it none are looked at.
    """
    setup = configparser.ConfigParser()
    setup.read(project / "setup.cfg", "utf-8")
    if (found := setup["metadata"]["version"]) != version:
        yield f"setup.cfg has the version {found}."
    released = SECTION.findall((project / "NEWS.md").read_text("utf-8"))
    if released[:1] != [version]:
        yield f"The newest section of NEWS.md is {released[0] if released else 'missing'}."
    if released.count(version) > 1:
        yield f"NEWS.md has {released.count(version)} sections of {version}."
    if (words := _news_words(project)) > MAX_NEWS_WORDS:
        yield (
            f"The newest section of NEWS.md has {words} words; shorten it to {MAX_NEWS_WORDS},"
            " which are two pages."
        )
    for fragment in _fragments(project):
        yield f"{fragment.relative_to(project)} is not in NEWS.md."
    for page in _pages(project):
        others = {found for _, found in PACKAGE.findall(page.read_text("utf-8"))} - {version}
        for other in sorted(others):
            yield f"{page.relative_to(project)} names the package of {other}."
    if packages is not None:
        yield from _wrong_packages(packages, version)


def _wrong_packages(packages: Path, version: str) -> Iterator[str]:
    """Find missing packages, and those of another version or with a name of another form."""
    kinds = dict.fromkeys(NAMES, 0)
    for path in sorted(packages.glob("rkllm[_-]twisted*")):
        kind = next((one for one in NAMES if one.fullmatch(path.name)), None)
        match = kind.fullmatch(path.name) if kind else None
        if kind is None or match is None or match[1] != version:
            yield f"{path.name} is not a package of {version}."
        else:
            kinds[kind] += 1
    for kind, count in kinds.items():
        if not count:
            yield f"No package of {packages} has a name like {kind.pattern}."


def main(arguments: list[str]) -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description="Make a release ready and check it.")
    parser.add_argument("step", choices=["prepare", "check"])
    parser.add_argument("version")
    parser.add_argument("directory", nargs="?", type=Path)
    given = parser.parse_args(arguments)
    if given.step == "prepare":
        try:
            prepare(PROJECT, given.version)
        except (ValueError, subprocess.CalledProcessError) as error:
            print(error, file=sys.stderr)
            return 1
        return 0
    found = list(problems(PROJECT, given.version, given.directory))
    print("\n".join(found) or f"Everything agrees on {given.version}.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
