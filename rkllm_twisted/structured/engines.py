"""Finds the engine that makes constraints, among the plugins in ``twisted/plugins/``."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.plugin import getPlugins

from rkllm_twisted.constraint_interfaces import IConstraintEngine
from rkllm_twisted.errors import InternalError

NONE_INSTALLED = (
    "For answers in a given form, an engine is needed: pip install 'rkllm-twisted[structured]'"
    " installs one."
)


def find_engine(kind: str, plugins: Iterable[object] | None = None) -> IConstraintEngine:
    """Return the first engine that can be used. Those of other packages go before llguidance's.

    :param kind: the kind of form that it must be able to do.
    :param plugins: what to look through; all installed plugins where left out.
    :raises InternalError: there is none; the text says what to install.
    """
    found = list(getPlugins(IConstraintEngine) if plugins is None else plugins)
    engines = [one for one in found if IConstraintEngine.providedBy(one) and kind in one.kinds]
    engines.sort(key=lambda one: type(one).__module__.startswith("rkllm_twisted."))
    missing = [one.missing() for one in engines]
    for engine, lacking in zip(engines, missing, strict=True):
        if lacking is None:
            return engine
    raise InternalError(missing[0] if missing else NONE_INSTALLED, {"kind": kind})
