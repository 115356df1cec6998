"""The encoder's file: found by the rules of ``--model-dir``, and opened once."""

from __future__ import annotations

import os
from pathlib import Path

import attrs

from rkllm_twisted.abi.to_c import FileParameter
from rkllm_twisted.encoders.providers import HEAD_BYTES, provider_of
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.runtime.files import Descriptor, Files


@attrs.frozen
class EncoderFile:
    """A file that a provider opens.

    :param kind: the name of the provider.
    :param path: the name to open it by; in another process, too, that has the descriptor.
    :param descriptor: None if the daemon may open any file.
    :param size: in bytes.
    :param identity: see :class:`~rkllm_twisted.vision_interfaces.EncoderFacts`.
    """

    kind: str
    path: str
    descriptor: Descriptor | None
    size: int
    identity: str


def find_encoder(path: str, files: Files) -> EncoderFile:
    """Find a file, and what opens it.

    :param path: as the client sent it.
    :raises InvalidParams: there is no such file, or no provider opens it.
    :raises NotAllowed: it is not in a directory of ``--model-dir``.
    """
    descriptor = files.found(FileParameter("path", path))
    name = path if descriptor is None else descriptor.path
    try:
        with Path(name).open("rb") as file:
            head, status = file.read(HEAD_BYTES), os.fstat(file.fileno())
    except OSError as error:
        raise InvalidParams(f"path: {path}: {error.strerror}.", {"parameter": "path"}) from None
    kind: str = provider_of(head, path).name
    identity = f"{Path(path).absolute()}:{status.st_size}:{status.st_mtime_ns}"
    return EncoderFile(kind, name, descriptor, status.st_size, identity)
