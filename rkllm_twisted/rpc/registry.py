"""Finds the methods: every plugin in ``twisted/plugins/`` that provides IRPCMethod, and the
functions of rkllm.h for which none of the daemon's own plugins stands.

A plugin that cannot be used is named in the log and left out; the daemon starts without it. Two
plugins that want the same name keep it from starting, because which one answers would be chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath

import attrs
from twisted.logger import ILogObserver, LogEvent, Logger, globalLogPublisher
from twisted.plugin import getPlugins
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from rkllm_twisted.abi.release import Release, releases
from rkllm_twisted.errors import PluginClash
from rkllm_twisted.interfaces import IDescribedMethod, IRKLLMMethod, IRPCMethod
from rkllm_twisted.rpc.functions import function_methods

#: JSON-RPC 2.0 reserves the first prefix; the Language Server Protocol uses the second.
RESERVED = ("rpc.", "$/")
#: The package of the methods that may have such a name: OpenRPC defines rpc.discover.
OWN = "rkllm_twisted.methods."

_log = Logger("rkllm.rpc")


def find_methods(
    plugins: Iterable[object] | None = None, known: Mapping[str, Release] | None = None
) -> dict[str, IRPCMethod]:
    """Collect the methods by name.

    :param plugins: what to look through; all installed plugins where left out.
    :param known: the layouts whose functions are methods, too. Where left out, those of rkllm.h
        with all installed plugins, and none with others.
    :raises PluginClash: two different ones have the same name.
    """
    if plugins is None and known is None:
        known = releases()
    with _naming_broken_drop_ins():
        found = list(getPlugins(IRPCMethod) if plugins is None else plugins)
    own = {m.function for m in found if IRKLLMMethod.providedBy(m) and _origin(m).startswith(OWN)}
    found += function_methods(known or {}, own)
    methods: dict[str, IRPCMethod] = {}
    for method in found:
        reason = _why_not(method)
        if reason is not None:
            _log.error(
                "the plugin {plugin} is left out: {reason}", plugin=_origin(method), reason=reason
            )
            continue
        assert IRPCMethod.providedBy(method)
        # The same object comes once for every name that a drop-in module has for it.
        if methods.setdefault(method.name, method) is not method:
            origins = " and ".join(sorted((_origin(methods[method.name]), _origin(method))))
            raise PluginClash(f"Two plugins provide {method.name}: {origins}; remove one.")
    return dict(sorted(methods.items()))


def _origin(method: object) -> str:
    return f"{type(method).__module__}.{type(method).__qualname__}"


def _why_not(method: object) -> str | None:
    """Return the reason why an object cannot be a method; None if it can."""
    try:
        described = IDescribedMethod.providedBy(method)
        verifyObject(IDescribedMethod if described else IRPCMethod, method)
        assert IRPCMethod.providedBy(method)
        return next((reason for wrong, reason in _checks(method) if wrong), None)
    except Exception as error:  # noqa: BLE001 - third-party code may raise whatever it likes
        return " ".join(str(error).split()) or type(error).__name__


def _checks(method: IRPCMethod) -> Iterator[tuple[bool, str]]:
    name, params = method.name, method.params
    yield not isinstance(name, str) or not name, "its name is no text"
    reserved = name.startswith(RESERVED) and not _origin(method).startswith(OWN)
    yield reserved, f"the name {name} begins with a reserved prefix"
    yield not isinstance(method.summary, str), "its summary is no text"
    yield params is not None and not attrs.has(params), "its params are no attrs class"
    yield not isinstance(method.streams, bool), "its streams is neither True nor False"


@contextmanager
def _naming_broken_drop_ins() -> Iterator[None]:
    """Add a line that names the file to each traceback that twisted.plugin logs and goes on."""
    failures: list[Failure] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        failure = event.get("log_failure") or event.get("failure")  # the latter from log.err
        if failure is not None:
            failures.append(failure)

    globalLogPublisher.addObserver(observe)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observe)
    for failure in failures:
        _log.error(
            "the plugin file {path} cannot be loaded and is left out: {reason}",
            path=_drop_in(failure),
            reason=failure.getErrorMessage(),
        )


def _drop_in(failure: Failure) -> str:
    """Find the first file in a ``plugins`` folder among those that the failure went through."""
    paths = [str(frame[1]) for frame in failure.frames]
    if isinstance(failure.value, SyntaxError) and failure.value.filename:
        paths.append(failure.value.filename)
    inside = (path for path in paths if PurePath(path).parent.name == "plugins")
    return next(inside, "(unknown)")
