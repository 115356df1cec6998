"""Shared by the methods of C functions that have no parameters."""

from __future__ import annotations

import attrs


@attrs.frozen
class OnlyHandle:
    """The parameters of a function that has none but the daemon's own.

    :param handle: null, or left out.
    """

    handle: None = None
