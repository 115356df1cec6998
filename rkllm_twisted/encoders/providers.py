"""Finds the plugins that open vision encoders, and which of them opens a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from twisted.logger import Logger
from twisted.plugin import getPlugins
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.vision_interfaces import IVisionEncoder

#: The bytes of a file that providers look at.
HEAD_BYTES = 64

_log = Logger("rkllm.vision")


def providers() -> Mapping[str, Any]:
    """Return the installed providers of :class:`IVisionEncoder` by name.

    One that lacks a part of the interface is named in the log and left out, and of two with one
    name the second.
    """
    found: dict[str, Any] = {}
    for plugin in getPlugins(IVisionEncoder):
        if _is_whole(plugin):
            found.setdefault(plugin.name, plugin)
    return found


def _is_whole(plugin: Any) -> bool:
    try:
        verifyObject(IVisionEncoder, plugin)
    except Invalid as error:
        _log.error(
            "the plugin {plugin} is left out: {error}",
            plugin=type(plugin).__qualname__,
            error=" ".join(str(error).split()),
        )
        return False
    return True


def provider_of(head: bytes, path: str) -> Any:
    """Return the provider that opens a file.

    :param head: its first bytes.
    :raises InvalidParams: none does.
    """
    found = providers()
    for provider in found.values():
        if provider.recognises(head, path):
            return provider
    name = PurePath(path).name
    begins = f"begins with {head[:8]!r}" if head else "is empty"
    raise InvalidParams(
        f"path: {name} is no vision encoder that a plugin here opens ({', '.join(found)}): it"
        f" {begins}.",
        {"parameter": "path"},
    )
