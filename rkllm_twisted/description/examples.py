"""Reads the examples of requests and answers. A test plays them on a real daemon. Pure."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from rkllm_twisted.abi.arguments import assign_arguments
from rkllm_twisted.abi.release import Release
from rkllm_twisted.description.model import MethodDescription


@attrs.frozen
class Example:
    """An example of a call and its result.

    :param about: its purpose in a few words; may be empty.
    :param params: the given parameters by name, without the daemon's own.
    :param partial: the results of a stream before the last one.
    """

    about: str
    params: Mapping[str, Any]
    result: Any
    partial: tuple[Any, ...] = ()


@functools.cache
def table() -> Mapping[str, Any]:
    """Read examples.json, at the first call."""
    read = json.loads(Path(__file__).with_name("examples.json").read_text("utf-8"))
    assert isinstance(read, dict)
    return read


def examples_of(method: MethodDescription, release: Release) -> Iterator[Example]:
    """Find the examples of a method on a release."""
    for step in _steps(method.name, release):
        request = step["send"]
        answers = [answer for answer in step["receive"] if answer.get("id") == request["id"]]
        results = [_plain(answer["result"]) for answer in answers if "result" in answer]
        if results and len(results) == len(answers):
            *partial, result = results
            params = _by_name(method, release, request.get("params"))
            about = step.get("about", "").removesuffix(":")
            yield Example(about, params, result, tuple(partial))


def _steps(name: str, release: Release) -> Iterator[Mapping[str, Any]]:
    for scene in table()["scenes"]:
        if release.name in scene["releases"]:
            for step in scene["steps"]:
                if step.get("shows") == name == step["send"]["method"]:
                    yield step


def _by_name(method: MethodDescription, release: Release, params: Any) -> dict[str, Any]:
    """Return the parameters by name, without those that are left out."""
    if method.function is not None:
        params = assign_arguments(release.functions[method.function], params)
    elif not isinstance(params, Mapping):
        names = [item.name for item in method.parameters]
        params = dict(zip(names, params or (), strict=False))
    return {name: value for name, value in params.items() if value is not None}


def _plain(value: Any) -> Any:
    """Replace each placeholder by a value of its kind."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    placeholders = table()["placeholders"]
    is_placeholder = isinstance(value, str) and value in placeholders
    return placeholders[value]["such_as"] if is_placeholder else value
