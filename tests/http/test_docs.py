"""What docs/develop/http-routes.md shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from http_rig import HTTPRig

PAGE = Path(__file__).parents[2] / "docs" / "develop" / "http-routes.md"


def test_the_pages_route_is_found_and_answers() -> None:
    """The page's code runs unchanged, with the fake daemon behind it."""
    code = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "greetings.greet"}
    exec(code[0], names)
    rig = HTTPRig(routes=[names["greet"]], answers={"Greet a/b.": "Hello, a/b!"})
    assert rig.ask("GET", "/greet/a/b").json == {"greeting": "Hello, a/b!"}
    rig.close()
