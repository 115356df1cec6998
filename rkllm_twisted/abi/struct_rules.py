"""Rules that the comments of rkllm.h state about its structures and that no layout shows.

Sources are the comments of rkllm.h 1.1.4 to 1.3.0. The tables list required fields, the lengths
of arrays, the member of RKLLMInput's union that C reads, the fields that name files, and the
fields that moved between releases.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence

import attrs

from rkllm_twisted.abi.familiar_names import field_hint
from rkllm_twisted.abi.layouts import CData
from rkllm_twisted.abi.release import Release, Struct
from rkllm_twisted.abi.scalars import clip, param_error
from rkllm_twisted.errors import InvalidParams

#: Required fields. Without one C would read a NULL, or succeed without effect (a LoRA of scale 0).
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "RKLLMParam": ("model_path",),
    "RKLLMLoraAdapter": ("lora_adapter_path", "lora_adapter_name", "scale"),
    "RKLLMLoraParam": ("lora_adapter_name",),
    "RKLLMEmbedInput": ("embed", "n_tokens"),
    "RKLLMTokenInput": ("input_ids", "n_tokens"),
    "RKLLMMultiModelInput": ("prompt",),
    "RKLLMMultiModalInput": ("prompt",),
}
#: The roles of rkllm.h, and those that chat templates add.
ROLES = ("user", "tool", "system", "assistant")
#: The share of letters in common from which a role counts as a misspelt one (difflib's ratio).
MISSPELT_RATIO = 0.75
#: RKLLMInputType -> the member of RKLLMInput's union that C reads.
INPUT_MEMBERS: Mapping[str, str] = {
    "RKLLM_INPUT_PROMPT": "prompt_input",
    "RKLLM_INPUT_TOKEN": "token_input",
    "RKLLM_INPUT_EMBED": "embed_input",
    "RKLLM_INPUT_MULTIMODAL": "multimodal_input",
}


def names_file(name: str) -> bool:
    """True if a field or a parameter names a file: rkllm.h ends the names of all of these so."""
    return name.endswith("_path")


@attrs.frozen
class ArrayLength:
    """The required length of an array.

    :param array: the field that points to it.
    :param counts: fields whose product is its number of rows.
    :param exact: True if that is its length; else each row has a width that no structure states.
    :param may_be_null: True if it may be NULL even if the counts are not 0.
    :param like: an earlier array that must have as many elements, if both are present.
    :param widths: the number of embeddings in a row: 1, or ``None`` for one or several (an encoder
        with several outputs puts them one after the other); 0 for other arrays.
    """

    array: str
    counts: tuple[str, ...]
    exact: bool = False
    may_be_null: bool = False
    like: str | None = None
    widths: int | None = 0

    def rows(self, target: CData) -> int:
        """Return the product of the counts in the structure."""
        # Older releases lack n_image: they take one image.
        return math.prod(getattr(target, count, 1) for count in self.counts)

    def check(self, path: str, target: CData, sizes: Mapping[str, int | None]) -> None:
        """Compare the number of elements with the counts in the structure.

        :param sizes: the number of elements of each array that the client sent in the structure.
        :raises InvalidParams: they differ; the text states both.
        """
        rows, size = self.rows(target), sizes.get(self.array)
        other = sizes.get(self.like) if self.like else None
        path = f"{path}.{self.array}"
        words = f"{' * '.join(self.counts)} = {rows}"
        if not size:
            # Null may stand for NULL; an empty array does not have the required length.
            if rows and not (self.may_be_null and size is None):
                raise param_error(path, f"is missing, but {words}")
        elif self.exact and size != rows:
            raise param_error(path, f"has {size} elements, but {words}")
        elif rows <= 0 or size % rows:
            raise param_error(path, f"has {size} elements, which is no multiple of {words}")
        elif other and size != other:
            raise param_error(path, f"has {size} elements, but {self.like} has {other}")


_IMAGE = ArrayLength("image_embed", ("n_image", "n_image_tokens"), widths=None)
#: Structure -> the rules for its arrays.
LENGTHS: Mapping[str, tuple[ArrayLength, ...]] = {
    "RKLLMEmbedInput": (ArrayLength("embed", ("n_tokens",), widths=1),),
    "RKLLMTokenInput": (ArrayLength("input_ids", ("n_tokens",), exact=True),),
    "RKLLMMultiModelInput": (_IMAGE,),
    "RKLLMMultiModalInput.image": (_IMAGE,),
    "RKLLMMultiModalInput.video": (
        ArrayLength("video_embed", ("n_video", "n_frame_per_video", "n_frame_tokens"), widths=None),
    ),
    "RKLLMCrossAttnParam": (
        ArrayLength("encoder_k_cache", ("num_tokens",), may_be_null=True),
        ArrayLength("encoder_v_cache", ("num_tokens",), may_be_null=True, like="encoder_k_cache"),
        ArrayLength("encoder_mask", ("num_tokens",), exact=True, may_be_null=True),
        ArrayLength("encoder_pos", ("num_tokens",), exact=True, may_be_null=True),
    ),
}


def check_union(release: Release, input_type: int, path: str, given: Mapping[str, object]) -> None:
    """Check that RKLLMInput has the union member of its input type, and no other.

    :raises InvalidParams: it does not; the text names the member and its input type.
    """
    numbers = release.enums["RKLLMInputType"]
    for name, number in numbers.items():
        member = INPUT_MEMBERS[name]
        if number == input_type and given.get(member) is None:
            raise param_error(
                f"{path}.{member}", f"is missing, but input_type is {number} ({name})"
            )
        if number != input_type and given.get(member) is not None:
            what = f"belongs to input_type {number} ({name}), but input_type is {input_type}"
            raise param_error(f"{path}.{member}", what)


def reshape(release: Release, struct: Struct, value: Mapping[str, object]) -> Mapping[str, object]:
    """Move an image's fields to where the loaded release has them.

    Up to 1.2.3 they are in RKLLMMultiModelInput itself; in 1.3.0 they are in its ``image``. Fields
    that the release lacks stay in place, so that the error names them.
    """
    if struct.name == "RKLLMMultiModelInput":
        image = value.get("image")
        if isinstance(image, Mapping) and not image.keys() & value.keys():
            return {**{k: v for k, v in value.items() if k != "image"}, **image}
    if struct.name == "RKLLMMultiModalInput":
        nested = {member.name for member in release.structs[f"{struct.name}.image"].members}
        moved = {name: item for name, item in value.items() if name in nested & _FLAT}
        image = value.get("image") or {}
        if moved and isinstance(image, Mapping) and not image.keys() & moved.keys():
            rest = {name: item for name, item in value.items() if name not in moved}
            return {**rest, "image": {**image, **moved}}
    return value


#: An image's fields in RKLLMMultiModelInput of 1.2.1.
_FLAT = frozenset({"image_embed", "n_image_tokens", "n_image", "image_width", "image_height"})


def unknown_field(
    release: Release, struct: Struct, path: str, name: str, fields: Sequence[str]
) -> InvalidParams:
    """Return the error for a field that the loaded release lacks."""
    path, name = clip(path), clip(name)
    what = f"is no field of {struct.name} in release {release.name}, which is loaded"
    others = _releases_with_field(release, struct, name)
    if others:
        return param_error(path, f"{what}; these have it: {', '.join(others)}")
    hint = field_hint(name)
    if hint is None:
        close = difflib.get_close_matches(name, fields, 1)
        hint = f"perhaps {close[0]} is meant" if close else None
    return param_error(path, what + (f"; {hint}" if hint else ""))


def check_role(path: str, role: object) -> None:
    """Refuse a misspelt role; with one the runtime would end the run in an error.

    A role that resembles no known one is accepted: it may be the model's own.

    :raises InvalidParams: the role resembles a known one.
    """
    if isinstance(role, str) and role and role not in ROLES:
        close = difflib.get_close_matches(role.lower(), ROLES, 1, MISSPELT_RATIO)
        if close:
            raise param_error(path, f"{clip(role)!r} is no role; perhaps {close[0]} is meant")


def _family(struct_name: str) -> str:
    """Return the name under which the tables have a structure (1.2.3 renamed one)."""
    return struct_name.partition(".")[0].replace("MultiModel", "MultiModal")


def _releases_with_field(release: Release, struct: Struct, name: str) -> list[str]:
    return release.releases_where(
        lambda one: any(
            _family(other.name) == _family(struct.name)
            and name in {member.name for member in other.members}
            for other in one.structs.values()
        )
    )
