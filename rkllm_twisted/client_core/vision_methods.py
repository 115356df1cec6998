"""The functions of :mod:`~rkllm_twisted.client_core.methods` for vision encoders."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any, TypedDict

from rkllm_twisted.client_core.call import MethodCall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Unpack

    from rkllm_twisted.client_core.vision_results import Encoder, EncoderUnloaded, ImageRows


class EncoderOptions(TypedDict, total=False):
    """The further parameters of ``vision.load``."""

    cores: str
    family: str | None
    tags: Mapping[str, str] | None
    fit: str | None
    resample: str
    keep_loaded: bool


def load_encoder(
    path: str | os.PathLike[str],
    *,
    timeout: float | None = None,
    **options: Unpack[EncoderOptions],
) -> MethodCall[Encoder]:
    """Load a vision encoder; one that is loaded already is unloaded first.

    :param path: of its file, as the daemon sees it.
    :param timeout: seconds to wait; None means the client's own timeout.
    :param options: further parameters of ``vision.load``: ``family``, ``cores``, ``tags`` …
    :raises InvalidParams: if the file is no vision encoder, or a parameter is wrong.
    :raises RuntimeRefused, RuntimeCrashed, TimedOut: if the library could not load it.
    """
    from rkllm_twisted.client_core.vision_results import encoder_of  # noqa: PLC0415 - see methods

    given = {name: value for name, value in options.items() if value is not None}
    return MethodCall("vision.load", {"path": os.fspath(path), **given}, encoder_of, timeout)


def encode_image(
    image: bytes | str | os.PathLike[str], *, timeout: float | None = None
) -> MethodCall[ImageRows]:
    """Make the rows of a picture, for the multimodal input of ``run``.

    :param image: the bytes of a JPEG, PNG or WebP file; or the path of one, as the daemon sees it.
    :param timeout: seconds to wait; None means the client's own timeout.
    :raises NoModel: if no encoder is loaded.
    :raises InvalidParams: if the picture cannot be used; it says why.
    """
    from rkllm_twisted.client_core.vision_results import rows_of  # noqa: PLC0415 - see methods

    given: dict[str, Any] = (
        {"base64": base64.b64encode(image).decode()}
        if isinstance(image, bytes)
        else {"path": os.fspath(image)}
    )
    return MethodCall("vision.encode", {"image": given}, rows_of, timeout)


def unload_encoder() -> MethodCall[EncoderUnloaded]:
    """Unload the vision encoder, after the calls that are queued already.

    :raises NoModel: if none is loaded.
    """
    from rkllm_twisted.client_core.vision_results import unloaded_of  # noqa: PLC0415 - see methods

    return MethodCall("vision.unload", None, unloaded_of)
