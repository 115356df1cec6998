"""The layers of the package: one row for each folder. docs/design.md shows this table."""

from __future__ import annotations

import attrs

#: From the lowest up.
LAYERS = ("words", "pure", "mechanism", "domain", "edge", "assembly", "on top")


@attrs.frozen
class Folder:
    """One row.

    :param name: of a package or a module below ``rkllm_twisted``. A package inside a folder may
        have a row of its own.
    :param layer: its number.
    :param layers: the numbers of the layers that it may import from, beside itself.
    :param outside: the packages from an index that it may import.
    """

    name: str
    layer: int
    layers: tuple[int, ...]
    outside: frozenset[str]


def _folder(layer: int, name: str, outside: str, layers: tuple[int, ...] | None = None) -> Folder:
    """Return a row. By default a folder imports from its own layer and from those below."""
    below = tuple(range(layer + 1)) if layers is None else layers
    return Folder(name, layer, below, frozenset(outside.split()))


_WORDS = "attrs zope"
_PURE = "attrs msgspec zope"
_TWISTED = "attrs msgspec twisted zope"
_EDGE = "attrs twisted zope"
#: For the folders that never import the domain.
_NO_DOMAIN = (0, 1, 2, 4)
FOLDERS = (
    _folder(0, "__init__", _WORDS),
    _folder(0, "errors", _WORDS),
    _folder(0, "values", _WORDS),
    _folder(0, "runtime_interfaces", _WORDS),
    _folder(0, "http_interfaces", _WORDS),
    _folder(0, "constraint_interfaces", _WORDS),
    _folder(0, "vision_interfaces", _WORDS),
    _folder(0, "interfaces", _WORDS),
    _folder(0, "run_error", _WORDS),
    _folder(1, "wire", _PURE),
    _folder(1, "abi", _PURE),
    _folder(1, "formats", _PURE),
    _folder(1, "board", _PURE),
    _folder(1, "cpu", _PURE),
    _folder(1, "chat", f"{_PURE} jinja2 tokenizers"),
    _folder(1, "vision", f"{_PURE} PIL"),
    _folder(1, "http/translation", _PURE),
    _folder(2, "http/openai", _PURE, (0, 1)),
    _folder(2, "http/ollama", _PURE, (0, 1)),
    _folder(2, "http/anthropic", _PURE, (0, 1)),
    _folder(2, "plugin", _TWISTED),
    _folder(2, "runtime", _PURE),
    _folder(2, "models", _PURE),
    _folder(2, "rknn", _TWISTED),
    _folder(2, "rpc", _TWISTED),
    _folder(2, "description", _TWISTED),
    _folder(2, "client_core", _PURE),
    _folder(3, "npu", _TWISTED),
    _folder(3, "isolation", _TWISTED),
    _folder(3, "offload", _TWISTED),
    _folder(3, "encoders", _TWISTED),
    _folder(3, "structured", f"{_TWISTED} llguidance numpy"),
    _folder(3, "inference", _TWISTED),
    _folder(3, "methods", _TWISTED, (0,)),
    _folder(4, "server", _EDGE, _NO_DOMAIN),
    _folder(4, "client", _EDGE, _NO_DOMAIN),
    _folder(4, "blocking", _WORDS, _NO_DOMAIN),
    _folder(4, "systemd", _EDGE),
    _folder(4, "http", f"{_TWISTED} prometheus_client", _NO_DOMAIN),
    _folder(5, "daemon", _TWISTED),
    _folder(5, "tap", _TWISTED),
    _folder(5, "http_service", _TWISTED),
    _folder(5, "fleet", _TWISTED),
    _folder(5, "fleet/wamp", f"{_TWISTED} autobahn"),
    _folder(5, "fleet_service", _TWISTED),
    _folder(6, "cli", "PIL attrs click prompt_toolkit pygal rich"),
    _folder(6, "contract", "attrs click"),
    _folder(6, "testing", f"{_TWISTED} click"),
)
_BY_NAME = {folder.name: folder for folder in FOLDERS}


def folder_of(module: str) -> Folder:
    """The row of a module such as ``http.openai.chat``: that of the innermost folder.

    :raises LookupError: the table has no row for it.
    """
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        folder = _BY_NAME.get("/".join(parts[:length]))
        if folder is not None:
            return folder
    raise LookupError(f"{module} is in no layer: add its folder to tests/support/layers.py")


def as_markdown() -> str:
    """The table, for docs/design.md."""
    rows = ["| layer | folder | imports layers | and from an index |", "|---|---|---|---|"]
    for folder in FOLDERS[1:]:
        cells = (
            f"{folder.layer} {LAYERS[folder.layer]}",
            f"`{folder.name}`",
            ", ".join(map(str, folder.layers)),
            ", ".join(sorted(folder.outside)),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"
