"""What the methods ``vision.*`` do: checks parameters, decodes pictures, and answers in JSON."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from rkllm_twisted.abi.to_c import FileParameter
from rkllm_twisted.chat.extras import ExtraMissingError
from rkllm_twisted.chat.families import named
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.encoders.vision import description_of
from rkllm_twisted.errors import InternalError, InvalidParams
from rkllm_twisted.models.encoder_fit import family_of_encoder
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.values import FloatArray
from rkllm_twisted.vision.decode import PictureError, check_bytes
from rkllm_twisted.vision.limits import MAX_ENCODED_BYTES
from rkllm_twisted.vision.pixels import Fit, Preparation, Resample
from rkllm_twisted.vision_interfaces import (
    CORES,
    FITS,
    RESAMPLES,
    EncoderFacts,
    EncoderLoad,
    ImageTags,
    IVision,
    no_encoder,
)

_TAGS = frozenset({"start", "end", "content"})
#: Makes pixels of an encoded picture; see :func:`rkllm_twisted.offload.picture.pixels_of`.
PixelsOf = Callable[[bytes, Preparation], bytes]


class VisionRequests:
    """Answers the methods ``vision.*``.

    :param files: those that clients may name.
    :param pixels_of: decodes a picture; called in a thread of the reactor's pool.
    """

    def __init__(self, vision: IVision, files: Files, pixels_of: PixelsOf) -> None:
        self._vision = vision
        self._files = files
        self._pixels_of = pixels_of

    def status(self) -> Mapping[str, object]:
        """Return the member ``vision`` of ``server.status``."""
        return self._vision.status()

    def load(self, params: Any, client: Hashable = None) -> Deferred[Mapping[str, object]]:
        """Answer ``vision.load``.

        :raises InvalidParams: a parameter is wrong; the text names it.
        """
        loading: Deferred[EncoderFacts] = self._vision.load(load_of_params(params), client)
        return loading.addCallback(description_of)

    def unload(self, client: Hashable = None) -> Deferred[Mapping[str, object]]:
        """Answer ``vision.unload``."""
        unloading: Deferred[EncoderFacts] = self._vision.unload(client)
        return unloading.addCallback(lambda encoder: {"path": encoder.asked.path})

    def encode(self, image: object, client: Hashable = None) -> Deferred[Mapping[str, object]]:
        """Answer ``vision.encode``.

        :raises InvalidParams: the image is neither base64 nor a path.
        :raises NoModel: no encoder is loaded.
        """
        encoder = self._vision.encoder
        if encoder is None:
            raise no_encoder(self._vision.problem)
        decoded: Deferred[bytes] = deferToThread(self._pixels, _reader(image, self._files), encoder)
        encoded = decoded.addCallback(self._vision.encode, client)
        return encoded.addCallback(partial(_answer, encoder))

    def _pixels(self, read: Callable[[], bytes], encoder: EncoderFacts) -> bytes:
        """Decode a picture. In a thread."""
        asked = encoder.asked
        family = family_of_encoder(asked)
        usual = Fit.STRETCH if family is not None and family.stretches_images else Fit.PAD
        fit = usual if asked.fit is None else Fit(asked.fit)
        how = Preparation(encoder.width, encoder.height, fit, Resample(asked.resample))
        try:
            data = read()
            check_bytes(len(data))
            return self._pixels_of(data, how)
        except PictureError as error:
            raise _wrong("image", str(error)) from None
        except ExtraMissingError as error:
            raise InternalError(str(error), {"package": error.name}) from None


def load_of_params(params: Any) -> EncoderLoad:
    """Check the parameters of ``vision.load``.

    :raises InvalidParams: one is wrong; the text names it.
    """
    for name, values in (("cores", CORES), ("fit", (None, *FITS)), ("resample", RESAMPLES)):
        if getattr(params, name) not in values:
            raise _wrong(name, f"must be one of {', '.join(filter(None, values))}")
    if params.family is not None and named(params.family, FAMILIES) is None:
        names = ", ".join(family.name for family in FAMILIES)
        raise _wrong("family", f"{params.family!r} is none of {names}")
    return EncoderLoad(
        params.path,
        params.cores,
        params.family,
        _tags(params.tags),
        params.fit,
        params.resample,
        params.keep_loaded,
    )


def _tags(value: Mapping[str, Any] | None) -> ImageTags | None:
    if value is None:
        return None
    if value.keys() != _TAGS or not all(isinstance(text, str) for text in value.values()):
        raise _wrong("tags", "must be an object with the texts start, end and content")
    return ImageTags(**value)


def _reader(image: object, files: Files) -> Callable[[], bytes]:
    """Return what reads an image's bytes, in a thread."""
    match image:
        case {"base64": str(text), **rest} if not rest:
            return partial(_decoded, text)
        case {"path": str(path), **rest} if not rest:
            return partial(files.read, FileParameter("image.path", path), MAX_ENCODED_BYTES + 1)
    raise _wrong("image", "must be an object with either base64 or path")


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:  # binascii.Error, or letters beyond ASCII
        raise _wrong("image.base64", "is not base64") from None


def _answer(encoder: EncoderFacts, rows: FloatArray) -> Mapping[str, object]:
    return {
        "image_embed": rows,
        "n_image_tokens": encoder.tokens,
        "n_image": 1,
        "image_width": encoder.width,
        "image_height": encoder.height,
        "row_width": encoder.row_width,
        "outputs": encoder.outputs,
    }


def _wrong(name: str, what: str) -> InvalidParams:
    return InvalidParams(f"{name}: {what}.", {"parameter": name})
