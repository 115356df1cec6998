"""The daemon's one vision encoder: it shares the NPU's queue with the model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from pathlib import PurePath
from time import monotonic
from typing import TYPE_CHECKING, Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from zope.interface import implementer

from rkllm_twisted.errors import InvalidParams, NoModel, RPCError, RuntimeCrashed, TimedOut
from rkllm_twisted.interfaces import INPU, ITurn
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.values import FloatArray
from rkllm_twisted.vision_interfaces import EncoderFacts, EncoderLoad, IVision, no_encoder

if TYPE_CHECKING:
    from rkllm_twisted.encoders.files import EncoderFile

_log = Logger("rkllm.vision")

#: The states in which the NPU thread waits for the process.
_BUSY = ("loading", "encoding")
#: Opens what a message says: of a file of so many bytes, with these descriptors, for a turn whose
#: ``check`` is called meanwhile.
OpenProcess = Callable[..., Any]


@implementer(IVision)
class Vision(Service):
    """See :class:`~rkllm_twisted.vision_interfaces.IVision`.

    All that opens, runs and closes an encoder is done in turns of the NPU, in its thread; so none
    of it overlaps with a run.

    :param files: those that clients may name.
    :param library: the value of ``--vision-library``.
    :param open_encoder: makes the process; None: the real one. The first load pays for its import.
    """

    def __init__(
        self,
        npu: INPU,
        files: Files,
        library: str | None = None,
        open_encoder: OpenProcess | None = None,
    ) -> None:
        self._npu = npu
        self._files = files
        self._library = library
        self._open_encoder = open_encoder
        self._state = "empty"
        self._process: Any = None
        self.encoder: EncoderFacts | None = None
        self.problem: str | None = None
        self._encoded = 0
        self._encode_s = 0.0

    def load(self, asked: EncoderLoad, client: Hashable = None) -> Deferred[EncoderFacts]:
        """See :meth:`IVision.load`."""
        loaded: Deferred[EncoderFacts] = self._npu.perform(partial(self._load, asked), client)
        return loaded

    def encode(self, pixels: bytes, client: Hashable = None) -> Deferred[FloatArray]:
        """See :meth:`IVision.encode`."""
        rows: Deferred[FloatArray] = self._npu.perform(
            lambda turn: self.encode_in(turn, pixels), client
        )
        return rows

    def unload(self, client: Hashable = None) -> Deferred[EncoderFacts]:
        """See :meth:`IVision.unload`."""
        unloaded: Deferred[EncoderFacts] = self._npu.perform(self._unload, client)
        return unloaded

    def status(self) -> Mapping[str, object]:
        """See :meth:`IVision.status`."""
        encoder = self.encoder
        return {
            "state": self._state,
            "encoder": None if encoder is None else description_of(encoder),
            "problem": self.problem,
            "encoded": self._encoded,
            "encode_s": round(self._encode_s, 3),
        }

    def stopService(self) -> None:
        """End the encoder's process. A picture under way fails."""
        super().stopService()
        process, is_busy = self._process, self._state in _BUSY
        if process is not None:
            process.kill()
            if not is_busy:  # else the NPU thread notices its end
                process.close()

    def _load(self, asked: EncoderLoad, turn: ITurn) -> EncoderFacts:
        """Load an encoder. In the NPU thread."""
        turn.check()
        found = self._find(asked.path)
        self._forget("loading")
        try:
            began = monotonic()
            process = self._open(found, asked, turn)
            facts = EncoderFacts(
                *(asked, process.about, process.width, process.height),
                *(process.tokens, process.row_width, process.outputs),
                identity=found.identity,
                load_s=round(monotonic() - began, 3),
            )
            _check_context(facts, turn)
        except (RPCError, CancelledError):
            self._forget("empty")
            raise
        self.encoder, self.problem = facts, None
        self._rest()
        return facts

    def _find(self, path: str) -> EncoderFile:
        from rkllm_twisted.encoders.files import find_encoder  # noqa: PLC0415 - see __init__

        return find_encoder(path, self._files)

    def _open(self, found: EncoderFile, asked: EncoderLoad, turn: ITurn) -> Any:
        from rkllm_twisted.encoders.messages import OpenEncoder  # noqa: PLC0415 - see __init__
        from rkllm_twisted.encoders.process import EncoderProcess  # noqa: PLC0415

        descriptors = () if found.descriptor is None else (found.descriptor.fd,)
        message = OpenEncoder(found.kind, found.path, asked.cores, self._library)
        open_encoder = self._open_encoder or EncoderProcess
        process = self._process = open_encoder(message, found.size, descriptors, check=turn.check)
        if process.warning is not None:
            _log.warn("{warning}", warning=process.warning)
        if not process.about.is_real:
            _log.warn(
                "{library} makes its rows up: what a model says of a picture is made up, too",
                library=process.about.library,
            )
        return process

    def encode_in(self, turn: ITurn, pixels: bytes) -> FloatArray:
        """See :meth:`IVision.encode_in`."""
        turn.check()
        encoder = self.encoder
        if encoder is None:
            raise self._none()
        due = encoder.width * encoder.height * 3
        if len(pixels) != due:
            raise InvalidParams(
                f"pixels: {len(pixels)} bytes; this encoder takes"
                f" {encoder.width} x {encoder.height} x 3 = {due}.",
                {"parameter": "pixels"},
            )
        try:
            if self._process is None:  # it was closed after the last picture
                self._reopen(encoder, turn)
            self._state = "encoding"
            began = monotonic()
            rows: FloatArray = self._process.encode(pixels, turn.check)
        except CancelledError:
            _log.warn("the vision encoder was ended: it hung on a picture whose client has left")
            self._close()
            self._rest()
            raise
        except (RuntimeCrashed, TimedOut) as error:
            self.problem = error.message
            self._forget("empty")
            raise
        except RPCError:
            self._rest()
            raise
        self._encoded += 1
        self._encode_s += monotonic() - began
        self._rest()
        return rows

    def _reopen(self, encoder: EncoderFacts, turn: ITurn) -> None:
        self._state = "loading"
        found = self._find(encoder.asked.path)
        if found.identity != encoder.identity:
            raise InvalidParams(
                f"{encoder.asked.path} has changed since it was loaded; load it again with"
                " vision.load.",
                {"path": encoder.asked.path},
            )
        self._open(found, encoder.asked, turn)

    def _rest(self) -> None:
        """Keep the encoder for the next picture, or close it until then."""
        assert self.encoder is not None
        if not self.encoder.asked.keep_loaded:
            self._close()
        self._state = "standby" if self._process is None else "loaded"

    def _unload(self, turn: ITurn) -> EncoderFacts:
        turn.check()
        encoder = self.encoder
        if encoder is None:
            raise self._none()
        self._forget("empty")
        return encoder

    def _none(self) -> NoModel:
        return no_encoder(self.problem)

    def _forget(self, state: str) -> None:
        self.encoder = None
        self._close()
        self._state = state

    def _close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(RPCError):
                process.close()


def _check_context(encoder: EncoderFacts, turn: ITurn) -> None:
    """Check that a picture leaves room in the context of the model that is loaded, if one is.

    :raises InvalidParams: it does not.
    """
    room = turn.max_context_len if turn.loaded else None
    if room is not None and encoder.tokens >= room:
        raise InvalidParams(
            f"path: a picture takes {encoder.tokens} tokens with this encoder, and the loaded"
            f" model has a context of {room}; load the model with a greater max_context_len.",
            {"parameter": "path", "tokens": encoder.tokens, "max_context_len": room},
        )


def description_of(encoder: EncoderFacts) -> dict[str, object]:
    """Return an encoder as clients see it."""
    asked, about = encoder.asked, encoder.about
    return {
        "path": asked.path,
        "name": PurePath(asked.path).name,
        "kind": about.kind,
        "library": about.library,
        "version": about.version,
        "driver": about.driver,
        "is_real": about.is_real,
        "memory": about.memory,
        "width": encoder.width,
        "height": encoder.height,
        "tokens": encoder.tokens,
        "row_width": encoder.row_width,
        "outputs": encoder.outputs,
        "cores": asked.cores,
        "family": asked.family,
        "tags": None if asked.tags is None else attrs.asdict(asked.tags),
        "fit": asked.fit,
        "resample": asked.resample,
        "keep_loaded": asked.keep_loaded,
        "load_time_s": encoder.load_s,
    }
