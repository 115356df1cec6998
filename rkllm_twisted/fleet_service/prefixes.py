"""Options that a service has from the daemon's table, with variables of its own."""

from __future__ import annotations

import attrs

from rkllm_twisted.daemon.settings import Setting


def prefixed(name: str, setting: Setting, prefix: str) -> Setting:
    """Return an option with a variable of its own in the environment."""
    return attrs.evolve(setting, variable=prefix + name.upper().replace("-", "_"))
