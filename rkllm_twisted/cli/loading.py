"""Loading a model, with something to look at meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.terminal import waiting


def load(client: Client, path: str, params: Mapping[str, Any] | None = None) -> None:
    """Load a model.

    :param path: the caller's, so a relative one is made absolute.
    :param params: further fields of RKLLMParam.
    """
    with waiting(f"Loading {Path(path).name}"):
        client.init(path, **(params or {}))
