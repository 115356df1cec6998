"""Makes a model's rows of the images in a conversation, with the daemon's vision encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock

import attrs

from rkllm_twisted.abi.release import Release
from rkllm_twisted.abi.to_c import FileParameter, fields_of
from rkllm_twisted.chat.extras import ExtraMissingError
from rkllm_twisted.chat.families import ImageMarks
from rkllm_twisted.chat.messages import NO_IMAGES, Image, shown, wrong
from rkllm_twisted.chat.prompts import Prompt
from rkllm_twisted.errors import Busy, InternalError, InvalidParams
from rkllm_twisted.inference.profile import ModelProfile
from rkllm_twisted.interfaces import ITurn
from rkllm_twisted.models.encoder_fit import (
    family_of_encoder,
    marks_with,
    reason_against_family,
    reason_against_outputs,
    reason_against_width,
)
from rkllm_twisted.offload.picture import pixels_of
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.values import FloatArray
from rkllm_twisted.vision.cache import RowCache, picture_key
from rkllm_twisted.vision.decode import PictureError, check_bytes
from rkllm_twisted.vision.limits import MAX_ENCODED_BYTES
from rkllm_twisted.vision.pixels import Fit, Preparation, Resample
from rkllm_twisted.vision_interfaces import EncoderFacts, IVision, none_is_loaded

#: The fields of the input that hold the texts around images, since release 1.3.0.
_MARKS = {"image_start": "start", "image_content": "content", "image_end": "end"}


class Pictures:
    """Makes rows, and keeps them: a conversation sends its images with each turn.

    :param release: of the runtime.
    :param vision: the encoder; None if the daemon has none.
    :param files: the files that clients may name.
    """

    def __init__(
        self, release: Release, vision: IVision | None = None, files: Files | None = None
    ) -> None:
        self._vision = vision
        self._files = files
        self._kept = RowCache[FloatArray]()
        self._lock = Lock()
        structs = release.structs
        nested = structs.get("RKLLMMultiModalInput.image") or structs["RKLLMMultiModelInput"]
        self.fields = frozenset(fields_of(release, nested))

    @property
    def encoder(self) -> EncoderFacts | None:
        """The encoder that is loaded."""
        return None if self._vision is None else self._vision.encoder

    @property
    def tokens(self) -> int:
        """The number of rows of an image."""
        encoder = self.encoder
        return 0 if encoder is None else encoder.tokens

    def reason_against(self, profile: ModelProfile) -> str | None:
        """Return why images for a model are refused, without a full stop; None if they are not."""
        if self._vision is None:
            return NO_IMAGES
        encoder = self.encoder
        if encoder is None:
            return f"{NO_IMAGES}: {none_is_loaded(self._vision.problem)}"
        family = profile.chat.family.name if profile.chat.family else None
        another = reason_against_family(encoder.asked, family)
        if another is not None:
            return (
                f"{another}, and {profile.name} is of the family {family}; load its own encoder, or"
                " say the right family with vision.load or in rkllm.toml"
            )
        against = reason_against_outputs(encoder.outputs, profile.chat.family)
        if against is not None:
            return against
        if marks_with(encoder.asked, profile.image) is None:
            return (
                f"{NO_IMAGES}: the texts around an image are not known; give family or tags with"
                " vision.load, or image in its rkllm.toml"
            )
        return None

    def of(self, prompt: Prompt, profile: ModelProfile) -> PicturesOfPrompt | None:
        """Decode the images of a prompt whose rows are not kept. In a thread.

        :returns: None if the prompt has none.
        :raises InvalidParams, NotAllowed: an image cannot be used; the error names its place.
        """
        images, encoder = prompt.images, self.encoder
        if not images:
            return None
        if encoder is None:
            raise _changed()
        if len(images) > 1 and "n_image" not in self.fields:
            what = "shows a second image, and this release of the runtime takes one in a prompt"
            raise wrong(images[1].place, what)
        marks = marks_with(encoder.asked, profile.image) or ImageMarks("", "", "")
        preparation = _preparation(encoder, profile)
        pictures = [self._prepared(image, encoder, preparation) for image in images]
        return PicturesOfPrompt(self, encoder, marks, tuple(pictures))

    def _prepared(self, image: Image, encoder: EncoderFacts, how: Preparation) -> _Picture:
        data = image.data
        if image.path is not None:
            if self._files is None:
                raise wrong(image.place, "no files are read here")
            data = self._files.read(FileParameter(image.place, image.path), MAX_ENCODED_BYTES + 1)
        with _named(image.place):
            check_bytes(len(data))
            options = (encoder.asked.cores, how.fit.value, how.resample.value)
            key = picture_key(encoder.identity, data, *options)
            rows = self.kept(key)
            if rows is not None:
                return _Picture(key, b"", rows)
            return _Picture(key, pixels_of(data, how), None)

    def encode(self, turn: ITurn, encoder: EncoderFacts, picture: _Picture) -> FloatArray:
        """Return the rows of an image. In the NPU thread.

        :raises Busy: another encoder is loaded meanwhile.
        :raises RPCError: it failed.
        """
        rows = picture.rows or self.kept(picture.key)
        if rows is None:
            if self._vision is None or not _is_same(self._vision.encoder, encoder):
                raise _changed()
            rows = self._vision.encode_in(turn, picture.pixels)
            with self._lock:
                self._kept.put(picture.key, rows, len(rows.data))
        return rows

    def kept(self, key: bytes) -> FloatArray | None:
        """Return rows that are kept."""
        with self._lock:
            return self._kept.get(key)


@attrs.frozen
class _Picture:
    """One image: its rows, or the pixels that they are made of."""

    key: bytes
    pixels: bytes = attrs.field(repr=False)
    rows: FloatArray | None = attrs.field(repr=False)


@attrs.frozen
class PicturesOfPrompt:
    """The images of one prompt.

    :param encoder: the encoder that they are prepared for.
    :param marks: the texts around them.
    """

    _pictures: Pictures
    encoder: EncoderFacts
    marks: ImageMarks
    prepared: tuple[_Picture, ...]

    def rows(self, turn: ITurn) -> Mapping[str, object]:
        """Return the field ``image`` of the multimodal input. In the NPU thread.

        Before release 1.3.0 its fields are in the multimodal input itself; the daemon puts them
        there.

        :raises InvalidParams: the model was loaded without the texts that this release wants then,
            or has embeddings of another width.
        """
        self._check_texts(turn)
        self._check_width(turn)
        each = [self._pictures.encode(turn, self.encoder, one) for one in self.prepared]
        columns = each[0].shape[-1]
        data = each[0].data if len(each) == 1 else b"".join(one.data for one in each)
        values: dict[str, object] = {
            "image_embed": FloatArray(data, (len(each) * self.encoder.tokens, columns)),
            "n_image_tokens": self.encoder.tokens,
            "n_image": len(each),
            "image_width": self.encoder.width,
            "image_height": self.encoder.height,
        }
        values |= {field: getattr(self.marks, part) for field, part in _MARKS.items()}
        return {name: value for name, value in values.items() if name in self._pictures.fields}

    def _check_texts(self, turn: ITurn) -> None:
        given = turn.limits.image if turn.limits is not None else None
        marks = self.marks
        if given is None or any(given) or not any(attrs.astuple(marks)):
            return
        raise wrong(
            "messages",
            "the model was loaded without the texts around an image, which this release of the"
            " runtime takes with rkllm.init. Load it again while the encoder is loaded, with"
            f" models.unload and models.load; or send img_start {shown(marks.start)}, img_content"
            f" {shown(marks.content)} and img_end {shown(marks.end)} with rkllm.init",
        )

    def _check_width(self, turn: ITurn) -> None:
        """Compare the widths before anything is encoded."""
        width = turn.embedding_width()
        reason = reason_against_width(self.encoder, width)
        if reason is not None:
            raise InvalidParams(
                f"messages: {reason}.",
                {"parameter": "messages", "row_width": self.encoder.row_width, "width": width},
            )

    def newest(self, count: int) -> PicturesOfPrompt | None:
        """Return the last images; None for no image. Older turns may have been left out."""
        left = self.prepared[len(self.prepared) - count :]
        return attrs.evolve(self, prepared=left) if left else None


def _preparation(encoder: EncoderFacts, profile: ModelProfile) -> Preparation:
    asked = encoder.asked
    family = profile.chat.family or family_of_encoder(asked)
    usual = Fit.STRETCH if family is not None and family.stretches_images else Fit.PAD
    fit = usual if asked.fit is None else Fit(asked.fit)
    return Preparation(encoder.width, encoder.height, fit, Resample(asked.resample))


def _is_same(one: EncoderFacts | None, other: EncoderFacts) -> bool:
    return one is not None and one.identity == other.identity


def _changed() -> Busy:
    return Busy("The vision encoder has been changed meanwhile; send the request again.")


@contextmanager
def _named(place: str) -> Iterator[None]:
    """Turn an error about a picture into one about a parameter."""
    try:
        yield
    except PictureError as error:
        raise wrong(place, str(error)) from None
    except ExtraMissingError as error:
        raise InternalError(str(error), {"package": error.name}) from None
