"""The Ed25519 keys by which members of a fleet prove their names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rkllm_twisted.errors import StartupError
from rkllm_twisted.fleet.errors import NoExtra


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 - an extra
    except ImportError:
        raise missing() from None
    return ed25519


def missing() -> NoExtra:
    """Return the error for a missing extra."""
    return NoExtra("A fleet needs packages that are missing: pip install 'rkllm-twisted[fleet]'.")


def make(path: Path) -> str:
    """Write a new private key with mode 0600, and return the public one as 64 hex digits.

    :raises StartupError: the file exists or cannot be written.
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - an extra

    key = _ed25519().Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
    except FileExistsError:
        raise StartupError(f"{path} exists; a key is never replaced.") from None
    except OSError as error:
        raise StartupError(f"{path} cannot be written: {error.strerror}.") from None
    return public(key)


def read(path: Path) -> Any:
    """Return the private key in a file.

    :raises StartupError: there is none, or others can read it.
    """
    ed25519 = _ed25519()
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - an extra

    try:
        text, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        raise StartupError(f"The key {path} cannot be read: {error.strerror}.") from None
    if mode & 0o077:
        raise StartupError(f"Others can read the key {path}: chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(text, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise StartupError(f"{path} is no Ed25519 key; rkllm fleet key makes one.")
    return key


def public(key: Any) -> str:
    """Return the public half of a private key as 64 hex digits."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - an extra

    raw: bytes = key.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    return raw.hex()
