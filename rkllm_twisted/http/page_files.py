"""The files of the chat page, and the headers they are sent with.

The files are in ``rkllm_twisted/http/page/``; what they may do is decided by
:data:`HEADERS`, also for a file that an attacker could change.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import attrs

from rkllm_twisted.errors import HTTPError

FOLDER = Path(__file__).parent / "page"
INDEX = "index.html"
_TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
    }
)
#: Scripts and styles come from this service only, none is inline, and the browser itself refuses to
#: make HTML or a script of a text (Trusted Types).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
#: The headers of every file of the page; the service adds nosniff to all that it sends.
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": POLICY,
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-cache",
    }
)


@attrs.frozen
class PageFile:
    """One file of the page."""

    data: bytes
    content_type: str


@cache
def _files() -> Mapping[str, PageFile]:
    return {
        path.name: PageFile(path.read_bytes(), _TYPES[path.suffix])
        for path in FOLDER.iterdir()
        if path.suffix in _TYPES
    }


def page_file(name: str) -> PageFile:
    """Return a file of the page.

    :raises HTTPError: there is none of this name.
    """
    found = _files().get(name)
    if found is None:
        raise HTTPError(
            404, f"The page has no file {name[:100]}.", "not_found_error", "path_not_found"
        )
    return found
