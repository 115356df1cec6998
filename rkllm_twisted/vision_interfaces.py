"""The interfaces of what makes a model's rows of a picture: vision encoders, and the daemon's one.

A plugin in ``twisted/plugins/`` that provides :class:`IVisionEncoder` adds a kind of encoder file;
see ``docs/vision.md``.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import attrs
from zope.interface import Attribute, Interface

from rkllm_twisted.errors import NO_ENCODER, NoModel
from rkllm_twisted.runtime_interfaces import ITurn
from rkllm_twisted.values import FloatArray

#: The ways to bring a picture to an encoder's proportions: fill a square with grey, or stretch.
FITS = ("pad", "stretch")
#: The ways to resize: as Rockchip's demonstration, or with averaging.
RESAMPLES = ("vendor", "smooth")


class IOpenedEncoder(Interface):
    """One opened encoder file. It blocks, and one thread at a time may call it."""

    about = Attribute("The :class:`EncoderAbout`.")
    width = Attribute("int: of its input, in pixels.")
    height = Attribute("int: of its input, in pixels.")
    tokens = Attribute("int: the rows that it makes of a picture.")
    row_width = Attribute("int: the numbers in a row of one output: the width of its model.")
    outputs = Attribute("int: its outputs: 1, or more with deepstack.")

    def encode(pixels: bytes) -> FloatArray:
        """Make the rows of a picture.

        :param pixels: height x width x 3 bytes: RGB, row by row.
        :returns: tokens x (outputs * row_width) numbers: of each token the row of each output.
        :raises InvalidParams: so many bytes are no picture of its size.
        :raises RuntimeRefused: the library refused, or gave what are no rows.
        """

    def close() -> None:
        """Release it. Idempotent."""


class IVisionEncoder(Interface):
    """A kind of encoder file: provide this together with :class:`twisted.plugin.IPlugin`.

    A provider is a stateless object at the top of a module, whose import does no work. The daemon
    opens the file in a process of its own, which it kills if it hangs.
    """

    name = Attribute("str: the kind, one word, for logs and ``server.status``.")

    def recognises(head: bytes, path: str) -> bool:
        """True if it opens such a file.

        :param head: its first 64 bytes; fewer if it is shorter.
        :param path: its name.
        """

    def open(path: str, cores: str = "auto", library: str | None = None) -> Any:
        """Open an encoder. It may take as long as reading the file.

        :param path: of the file.
        :param cores: the NPU's cores to use, a name of :data:`CORES`.
        :param library: the value of ``--vision-library``; None: found by the loader.
        :returns: an :class:`IOpenedEncoder`.
        :raises InvalidParams: the file is no such encoder, or one that cannot be used.
        :raises RuntimeRefused: the library refused it.
        :raises LibraryError: the library cannot be used; the text says what to do.
        """


#: The values of ``cores``: the library decides, or these cores of the NPU.
CORES = ("auto", "0", "1", "2", "0_1", "0_1_2", "all")


@attrs.frozen
class EncoderAbout:
    """What runs an encoder.

    :param kind: the name of the :class:`IVisionEncoder`.
    :param library: the path of its library.
    :param version: of the library, as it says it.
    :param driver: the version of the NPU's driver, as the library says it; empty if it does not.
    :param is_real: False for a library that makes up what it says.
    :param memory: bytes that the encoder takes; None if the library does not say it.
    """

    kind: str
    library: str
    version: str
    driver: str = ""
    is_real: bool = True
    memory: int | None = None


@attrs.frozen
class ImageTags:
    """The texts around the rows of a picture, and in their place, in a model's prompt."""

    start: str
    end: str
    content: str


@attrs.frozen
class EncoderLoad:
    """What a client asked for when it loaded an encoder.

    :param path: of its file.
    :param cores: a name of :data:`CORES`.
    :param family: the name of the model's family; None if the client has not named one.
    :param tags: in place of the family's; None: the family's.
    :param fit: a name of :data:`FITS`; None: the family's.
    :param resample: a name of :data:`RESAMPLES`.
    :param keep_loaded: False to unload the encoder after each picture; the next one loads it.
    """

    path: str
    cores: str = "auto"
    family: str | None = None
    tags: ImageTags | None = None
    fit: str | None = None
    resample: str = "vendor"
    keep_loaded: bool = True


@attrs.frozen
class EncoderFacts:
    """The encoder that pictures go through.

    :param asked: how it was loaded.
    :param identity: a text that changes with the file, for caches: path, size, time of change.
    :param load_s: seconds that loading it has taken.
    """

    asked: EncoderLoad
    about: EncoderAbout
    width: int
    height: int
    tokens: int
    row_width: int
    outputs: int
    identity: str
    load_s: float = 0.0


def none_is_loaded(problem: str | None) -> str:
    """Return the words for a daemon without an encoder, without a full stop.

    :param problem: how the last one ended; None if it was unloaded, or there was none.
    """
    reason = (problem or "").removesuffix(".").removesuffix("; load it again with vision.load")
    because = f" ({reason})" if reason else ""
    return f"no vision encoder is loaded{because}; load one with vision.load"


def no_encoder(problem: str | None = None) -> NoModel:
    """Return the error of a call that needs an encoder.

    :param problem: see :func:`none_is_loaded`.
    """
    text = none_is_loaded(problem)
    about = {} if problem is None else {"problem": problem}
    return NoModel(f"{text[0].upper()}{text[1:]}.", {"reason": NO_ENCODER, **about})


class IVision(Interface):
    """The daemon's one encoder. It shares the NPU: a run and an encoding never overlap.

    Used in the reactor thread, except for :meth:`encode_in`. Each Deferred may be cancelled: a call
    that waits is dropped, and of one that has begun only the answer is.
    """

    encoder = Attribute("The :class:`EncoderFacts`; None if no encoder is loaded.")
    problem = Attribute("str or None: how the last encoder crashed; None once one is loaded.")

    def load(asked: EncoderLoad, client: Hashable = None) -> Any:
        """Load an encoder, in a turn of the NPU; one that is loaded already is unloaded first.

        :returns: a Deferred of the :class:`EncoderFacts`.
        :raises RPCError: the Deferred's: the file, the library or the driver cannot be used.
        """

    def encode(pixels: bytes, client: Hashable = None) -> Any:
        """Make the rows of a picture, in a turn of the NPU.

        :returns: a Deferred of a FloatArray, see :meth:`IOpenedEncoder.encode`.
        :raises RPCError: the Deferred's: no encoder is loaded, or it failed.
        """

    def encode_in(turn: ITurn, pixels: bytes) -> FloatArray:
        """Make the rows of a picture within a turn that has begun. In the NPU thread only.

        :raises RPCError: no encoder is loaded, or it failed.
        """

    def unload(client: Hashable = None) -> Any:
        """Unload the encoder, in a turn of the NPU.

        :returns: a Deferred of its :class:`EncoderFacts`.
        :raises RPCError: the Deferred's: there is none.
        """

    def status() -> Mapping[str, object]:
        """Return the member ``vision`` of ``server.status``.

        Its ``state`` is ``empty``, ``loading``, ``loaded``, ``encoding``, or ``standby``: the next
        picture loads the encoder.
        """
