"""Finds the routes: every plugin in ``twisted/plugins/`` that provides IHTTPRoute."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs
from twisted.logger import Logger
from twisted.plugin import getPlugins
from zope.interface.verify import verifyObject

from rkllm_twisted.errors import HTTPError, PluginClash
from rkllm_twisted.http.error_bodies import BODIES
from rkllm_twisted.http.paths import PathPattern
from rkllm_twisted.http_interfaces import IHTTPRoute

_log = Logger("rkllm.http")


@attrs.frozen
class FoundRoute:
    """A route that answers a path, and the parameters in that path."""

    route: IHTTPRoute
    params: Mapping[str, str]


class Routes:
    """All routes, found by method and path.

    :param routes: the routes, in any order.
    :raises PluginClash: two of them serve the same method of the same path.
    """

    def __init__(self, routes: Iterable[IHTTPRoute]) -> None:
        self.all: Sequence[IHTTPRoute] = tuple(routes)
        self._exact: dict[str, dict[str, IHTTPRoute]] = {}
        self._patterns: dict[PathPattern, dict[str, IHTTPRoute]] = {}
        for route in self.all:
            for path in route.paths:
                self._add(route, PathPattern(path))

    def _add(self, route: IHTTPRoute, pattern: PathPattern) -> None:
        known: dict[str, IHTTPRoute] = (
            self._patterns.setdefault(pattern, {})
            if pattern.parameter
            else self._exact.setdefault(pattern.text, {})
        )
        for method in route.methods:
            other = known.setdefault(method, route)
            if other is not route:
                origins = " and ".join(sorted((_origin(other), _origin(route))))
                raise PluginClash(
                    f"Two plugins serve {method} {pattern.text}: {origins}; remove one."
                )

    def find(self, method: str, path: str) -> FoundRoute:
        """Return the route of a request.

        :raises HTTPError: no route has the path, or those that have it lack the method.
        """
        allowed: set[str] = set()
        for by_method, params in self._candidates(path):
            route = by_method.get("GET" if method == "HEAD" and method not in by_method else method)
            if route is not None:
                return FoundRoute(route, params)
            allowed.update(by_method)
        if allowed:
            listed = ", ".join(sorted(allowed))
            raise HTTPError(
                405,
                f"{path} takes {listed}, not {method[:20]}.",
                code="method_not_allowed",
                headers={"Allow": listed},
            )
        raise HTTPError(
            404,
            f"There is no path {path[:100]}; GET /openapi.json describes those that there are.",
            "not_found_error",
            "path_not_found",
        )

    def _candidates(
        self, path: str
    ) -> Iterator[tuple[Mapping[str, IHTTPRoute], Mapping[str, str]]]:
        if path in self._exact:
            yield self._exact[path], {}
        for pattern, by_method in self._patterns.items():
            params = pattern.match(path)
            if params is not None:
                yield by_method, params


def find_routes(plugins: Iterable[object] | None = None) -> Routes:
    """Collect the routes. One that cannot be used is named in the log and left out.

    :param plugins: what to look through; None: all installed plugins.
    :raises PluginClash: two of them serve the same method of the same path.
    """
    found = list(getPlugins(IHTTPRoute) if plugins is None else plugins)
    usable: list[IHTTPRoute] = []
    for plugin in dict.fromkeys(found):
        reason = _why_not(plugin)
        if reason is not None:
            _log.error(
                "the plugin {plugin} is left out: {reason}", plugin=_origin(plugin), reason=reason
            )
            continue
        assert IHTTPRoute.providedBy(plugin)
        usable.append(plugin)
    return Routes(sorted(usable, key=lambda route: route.paths))


def _origin(plugin: object) -> str:
    return f"{type(plugin).__module__}.{type(plugin).__qualname__}"


def _why_not(plugin: object) -> str | None:
    """Say why an object is no usable route."""
    try:
        verifyObject(IHTTPRoute, plugin)
        assert IHTTPRoute.providedBy(plugin)
        return next((reason for wrong, reason in _checks(plugin) if wrong), None)
    except Exception as error:  # noqa: BLE001 - third-party code may raise whatever it likes
        return " ".join(str(error).split()) or type(error).__name__


def _checks(route: IHTTPRoute) -> Iterator[tuple[bool, str]]:
    for name, value in (("methods", route.methods), ("paths", route.paths)):
        wrong = not isinstance(value, tuple) or not all(isinstance(one, str) for one in value)
        yield wrong or not value, f"its {name} are no tuple of texts"
    for path in route.paths:
        PathPattern(path)
    yield not isinstance(route.summary, str), "its summary is no text"
    yield route.api not in BODIES, f"its api is none of {', '.join(BODIES)}"
