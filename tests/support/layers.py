"""The layers of the package: one row for each folder. docs/design.md shows this table."""

from __future__ import annotations

import attrs


@attrs.frozen
class Layer:
    """One layer.

    :param folders: packages and modules below ``rkllm_twisted``.
    :param outside: the packages from an index that a module there may import.
    """

    name: str
    folders: tuple[str, ...]
    outside: frozenset[str]


def _layer(name: str, folders: str, outside: str) -> Layer:
    return Layer(name, tuple(folders.split()), frozenset(outside.split()))


#: From the lowest up: a module imports from its own layer and from those before it.
LAYERS = (
    _layer(
        "words",
        "__init__ errors values runtime_interfaces http_interfaces interfaces run_error",
        "attrs zope",
    ),
    _layer("pure", "wire abi formats board cpu chat", "attrs zope msgspec jinja2 tokenizers"),
    _layer(
        "mechanism",
        "plugin runtime models rpc description client_core",
        "attrs zope msgspec twisted",
    ),
    _layer("domain", "npu isolation offload inference methods", "attrs zope msgspec twisted"),
    _layer("edge", "server client blocking systemd http", "attrs zope msgspec twisted"),
    _layer("assembly", "daemon tap http_service", "attrs zope msgspec twisted"),
    _layer(
        "on top",
        "cli contract testing",
        "attrs zope msgspec twisted click rich prompt_toolkit pygal",
    ),
)
#: Packages of extras -> the one module that may import them, and not before it is needed.
EXTRAS = {"jinja2": "chat.sandbox", "tokenizers": "chat.vocabulary"}
#: Packages that only these folders of their layer may import.
ONLY_IN = {("edge", "msgspec"): frozenset({"http"})}
#: Folders inside a layer that are as pure as layer 1: no Twisted, and nothing above that layer.
PURE_ROOMS = ("http.translation", "http.openai", "http.ollama", "http.anthropic")
#: The one of these that the others may import.
SHARED_ROOM = "http.translation"
#: May import the lowest layer only.
WORDS_ONLY = frozenset({"methods"})
#: Never import the domain.
WITHOUT_DOMAIN = frozenset({"server", "client", "blocking", "http"})
#: Never import Twisted.
WITHOUT_TWISTED = frozenset(
    {
        "wire",
        "abi",
        "formats",
        "board",
        "cpu",
        "chat",
        "runtime",
        "models",
        "client_core",
        "blocking",
        "cli",
        "contract",
    }
)


def layer_of(folder: str) -> int:
    """The number of the layer of a folder or a top-level module.

    :raises LookupError: the table has no row for it.
    """
    for number, layer in enumerate(LAYERS):
        if folder in layer.folders:
            return number
    raise LookupError(f"{folder} is in no layer: add it to tests/support/layers.py")


def as_markdown() -> str:
    """The table, for docs/design.md."""
    rows = ["| layer | folders | may import from an index |", "|---|---|---|"]
    for number, layer in enumerate(LAYERS):
        folders = ", ".join(f"`{folder}`" for folder in layer.folders if folder != "__init__")
        rows.append(f"| {number} {layer.name} | {folders} | {', '.join(sorted(layer.outside))} |")
    return "\n".join(rows) + "\n"
