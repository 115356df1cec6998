"""Paths of routes: which one a request's path means. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class PathPattern:
    """A path, whose last segment may be a parameter.

    The parameter takes the rest of the path, because names of models may hold ``/`` and ``:``.

    :param text: as in :attr:`IHTTPRoute.paths`.
    :ivar start: the path without the parameter.
    :ivar parameter: its name; empty if there is none.
    """

    text: str
    start: str = attrs.field(init=False)
    parameter: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        start, brace, rest = self.text.partition("{")
        if not start.startswith("/") or (brace and not (start.endswith("/") and rest[-1:] == "}")):
            raise ValueError(f"{self.text!r} is no path of a route")
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "parameter", rest[:-1])
        if brace and not self.parameter.isidentifier():
            raise ValueError(f"{self.text!r}: the parameter must be the last segment")

    def match(self, path: str) -> Mapping[str, str] | None:
        """Return the parameters of a path; None if it is another one."""
        if not self.parameter:
            return {} if path == self.text else None
        rest = path[len(self.start) :] if path.startswith(self.start) else ""
        return {self.parameter: rest} if rest else None
