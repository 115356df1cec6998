"""A fake of the daemon's vision encoder: its rows depend only on the pixels."""

from __future__ import annotations

import struct
from collections.abc import Hashable, Mapping

import attrs
from twisted.internet.defer import Deferred, execute
from zope.interface import implementer

from rkllm_twisted.errors import InvalidParams, RPCError
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.values import FloatArray
from rkllm_twisted.vision_interfaces import (
    EncoderAbout,
    EncoderFacts,
    EncoderLoad,
    IVision,
    no_encoder,
)


def fake_encoder(
    asked: EncoderLoad | None = None,
    *,
    width: int = 28,
    height: int = 28,
    tokens: int = 4,
    row_width: int = 8,
    outputs: int = 1,
) -> EncoderFacts:
    """Return the facts of an encoder that does not exist."""
    asked = asked or EncoderLoad("/models/fake.rknn")
    about = EncoderAbout("fake", "fake", "0", "", False)
    return EncoderFacts(
        *(asked, about, width, height, tokens, row_width, outputs), f"{asked.path}:0:0"
    )


@implementer(IVision)
class FakeVision:
    """A vision encoder that runs nothing.

    Each row has the mean of the pixels' bytes of its stripe, between 0 and 1, as all its numbers.

    :param encoder: what is loaded at first.
    :param error: what the next encoding fails with.
    :ivar problem: how the last encoder crashed.
    :ivar encoded: the pixels of each encoding, in order.
    """

    def __init__(self, encoder: EncoderFacts | None = None) -> None:
        self.encoder = encoder
        self.error: RPCError | None = None
        self.problem: str | None = None
        self.encoded: list[bytes] = []

    def load(self, asked: EncoderLoad, client: Hashable = None) -> Deferred[EncoderFacts]:
        """See :meth:`IVision.load`. Any file will do."""
        size = {} if self.encoder is None else _size_of(self.encoder)
        self.encoder = fake_encoder(asked, **size)
        return execute(self._loaded)

    def encode(self, pixels: bytes, client: Hashable = None) -> Deferred[FloatArray]:
        """See :meth:`IVision.encode`."""
        return execute(lambda: self._encode(pixels))

    def encode_in(self, turn: ITurn, pixels: bytes) -> FloatArray:
        """See :meth:`IVision.encode_in`."""
        turn.check()
        return self._encode(pixels)

    def unload(self, client: Hashable = None) -> Deferred[EncoderFacts]:
        """See :meth:`IVision.unload`."""
        before, self.encoder = self.encoder, None
        return execute(lambda: _existing(before))

    def status(self) -> Mapping[str, object]:
        """See :meth:`IVision.status`."""
        return {"state": "empty" if self.encoder is None else "loaded"}

    def _loaded(self) -> EncoderFacts:
        return _existing(self.encoder)

    def _encode(self, pixels: bytes) -> FloatArray:
        encoder = self._loaded()
        due = encoder.width * encoder.height * 3
        if len(pixels) != due:
            raise InvalidParams(
                f"pixels: {len(pixels)} bytes; this encoder takes"
                f" {encoder.width} x {encoder.height} x 3 = {due}.",
                {"parameter": "pixels"},
            )
        self.encoded.append(pixels)
        error, self.error = self.error, None
        if error is not None:
            raise error
        stripe = max(1, due // encoder.tokens)
        columns = encoder.outputs * encoder.row_width
        rows = b"".join(
            struct.pack("<f", sum(part) / (255 * len(part))) * columns
            for token in range(encoder.tokens)
            for part in [pixels[token * stripe : (token + 1) * stripe] or b"\0"]
        )
        return FloatArray(rows, (encoder.tokens, columns))


def _existing(encoder: EncoderFacts | None) -> EncoderFacts:
    if encoder is None:
        raise no_encoder()
    return encoder


def _size_of(encoder: EncoderFacts) -> dict[str, int]:
    names = ("width", "height", "tokens", "row_width", "outputs")
    return {name: value for name, value in attrs.asdict(encoder).items() if name in names}
