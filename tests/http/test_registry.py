"""Routes are plugins; a path means one of them."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import globalLogPublisher
from zope.interface import implementer

from rkllm_twisted.errors import HTTPError, PluginClash
from rkllm_twisted.http.paths import PathPattern
from rkllm_twisted.http.registry import Routes, find_routes
from rkllm_twisted.http_interfaces import IHTTPRoute


@implementer(IHTTPRoute)
@attrs.define(eq=False)
class FakeRoute:
    """A route that does nothing."""

    methods: Any = ("GET",)
    paths: Any = ("/a",)
    summary: Any = "Does nothing."
    api: Any = "openai"
    is_open: bool = False
    request: Any = None
    response: Any = None

    def respond(self, exchange: Any) -> None:
        """Do nothing."""


def test_a_route_is_found_by_method_and_path() -> None:
    get, post = FakeRoute(), FakeRoute(methods=("POST",))
    routes = Routes([get, post])
    assert routes.find("GET", "/a").route is get
    assert routes.find("POST", "/a").route is post
    assert routes.find("HEAD", "/a").route is get


def test_a_parameter_takes_the_rest_of_the_path() -> None:
    routes = Routes([FakeRoute(paths=("/m/{model}",))])
    assert routes.find("GET", "/m/user/name:tag").params == {"model": "user/name:tag"}


def test_a_whole_path_goes_before_a_parameter() -> None:
    exact, pattern = FakeRoute(paths=("/m/all",)), FakeRoute(paths=("/m/{model}",))
    routes = Routes([pattern, exact])
    assert routes.find("GET", "/m/all").route is exact
    assert routes.find("GET", "/m/other").route is pattern


@pytest.mark.parametrize("path", ["/", "", "/b", "/a/", "/A", "/m/", "/m"])
def test_another_path_is_not_found(path: str) -> None:
    with pytest.raises(HTTPError) as caught:
        Routes([FakeRoute(), FakeRoute(paths=("/m/{model}",))]).find("GET", path)
    assert caught.value.status == 404


def test_another_method_is_not_allowed_and_those_that_are_are_named() -> None:
    routes = Routes([FakeRoute(), FakeRoute(methods=("DELETE",))])
    with pytest.raises(HTTPError) as caught:
        routes.find("POST", "/a")
    assert (caught.value.status, caught.value.headers) == (405, {"Allow": "DELETE, GET"})


def test_two_routes_of_one_path_clash() -> None:
    with pytest.raises(PluginClash, match="Two plugins serve GET /a"):
        Routes([FakeRoute(), FakeRoute()])


@pytest.mark.parametrize(
    ("route", "reason"),
    [
        (object(), "failed to implement"),
        (FakeRoute(methods="GET"), "its methods"),
        (FakeRoute(paths=()), "its paths"),
        (FakeRoute(paths=("a",)), "no path"),
        (FakeRoute(paths=("/{a}/b",)), "no path"),
        (FakeRoute(summary=None), "its summary"),
        (FakeRoute(api="soap"), "its api"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named_in_the_log_and_left_out(
    route: object, reason: str
) -> None:
    events: list[Any] = []
    globalLogPublisher.addObserver(events.append)
    try:
        found = find_routes([route, FakeRoute()])
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert len(found.all) == 1
    assert reason in "".join(str(event.get("reason")) for event in events)


@given(st.text(), st.text(min_size=1))
def test_a_pattern_takes_exactly_what_is_behind_its_start(start: str, rest: str) -> None:
    pattern = PathPattern("/p/{x}")
    assert pattern.match(f"/p/{rest}") == {"x": rest}
    if not start.startswith("/p/"):
        assert pattern.match(start) is None
