"""The result of a check."""

from __future__ import annotations

import attrs

OK, WARNING, WRONG, SKIPPED = "ok", "warning", "wrong", "skipped"


@attrs.frozen
class Finding:
    """The result of a check.

    :param level: ``ok``, ``warning`` (it works, but not well), ``wrong``, or ``skipped``.
    :param message: one sentence.
    :param remedy: the command or the advice that mends the fault.
    """

    level: str
    message: str
    remedy: str | None = None
