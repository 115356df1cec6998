"""Writes the pages of docs/ that are made of the code: ``python docs/generate.py [--check]``."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import client_fields
import configuration_page
import engine_limits
import methods_page
import troubleshooting_page

from rkllm_twisted.abi.release import releases
from rkllm_twisted.board.checks import CHECKS
from rkllm_twisted.board.http_checks import HTTP_CHECKS
from rkllm_twisted.board.vision_checks import VISION_CHECKS
from rkllm_twisted.daemon.option_table import SETTINGS
from rkllm_twisted.description import examples
from rkllm_twisted.description.describe import describe
from rkllm_twisted.errors import BY_CODE
from rkllm_twisted.fleet_service.board_options import SETTINGS as BOARD_SETTINGS
from rkllm_twisted.fleet_service.front_options import SETTINGS as FRONT_SETTINGS
from rkllm_twisted.http_service.option_table import SETTINGS as HTTP_SETTINGS
from rkllm_twisted.rpc.registry import find_methods
from twisted.plugins import rkllm_methods

HERE = Path(__file__).parent


def methods() -> str:
    """Make methods.md: the daemon's own methods, not those that happen to be installed here."""
    own = find_methods([getattr(rkllm_methods, name) for name in rkllm_methods.__all__], releases())
    return methods_page.render(describe(own, list(releases().values())), examples.table())


#: File in docs/ -> what makes its text.
PAGES: Mapping[str, Callable[[], str]] = {
    "methods.md": methods,
    "troubleshooting.md": lambda: troubleshooting_page.render(
        BY_CODE, {**CHECKS, **VISION_CHECKS, **HTTP_CHECKS}
    ),
    "configuration.md": lambda: configuration_page.render(SETTINGS),
    "real-models.md": lambda: engine_limits.page(HERE / "real-models.md"),
    "../cpu_runtime/README.md": lambda: engine_limits.page(HERE / "../cpu_runtime/README.md"),
    "../rkllm_twisted/client_core/fields.py": lambda: client_fields.render(releases()),
    "../etc/rkllm.toml": lambda: configuration_page.example(SETTINGS),
    "http-options.md": lambda: configuration_page.render(
        HTTP_SETTINGS, configuration_page.HTTP_INTRODUCTION
    ),
    "../etc/rkllm-http.toml": lambda: configuration_page.example(
        HTTP_SETTINGS, configuration_page.HTTP_EXAMPLE
    ),
    "fleet-options.md": lambda: (
        configuration_page.render(BOARD_SETTINGS, configuration_page.FLEET_INTRODUCTION)
        + configuration_page.render(FRONT_SETTINGS, configuration_page.FRONT_INTRODUCTION)
    ),
    "../etc/rkllm-board.toml": lambda: configuration_page.example(
        BOARD_SETTINGS, configuration_page.BOARD_EXAMPLE
    ),
    "../etc/rkllm-fleet.toml": lambda: configuration_page.example(
        FRONT_SETTINGS, configuration_page.FRONT_EXAMPLE
    ),
}


def write(name: str, text: str) -> bool:
    """Write a page."""
    (HERE / name).write_text(text, "utf-8")
    return True


def check(name: str, text: str) -> bool:
    """Say whether a page is what it would be, and print where it is not."""
    path = HERE / name
    found = path.read_text("utf-8") if path.exists() else ""
    changes = difflib.unified_diff(
        found.splitlines(), text.splitlines(), f"docs/{name}", "as it should be", "", "", 0, ""
    )
    for line in changes:
        print(line)
    if found != text:
        print(f"docs/{name} is not current: run python docs/generate.py", file=sys.stderr)
    return found == text


def main() -> int:
    """Write the pages, or check them; the exit code."""
    parser = argparse.ArgumentParser(description="Write the pages that are made of the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if any differs")
    treat = check if parser.parse_args().check else write
    results = [treat(name, make()) for name, make in PAGES.items()]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
