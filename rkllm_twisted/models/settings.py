"""Reads ``rkllm.toml`` beside a model: its parameters, its prompts, its names.

The code that checks an rkllm.init also checks these parameters, so the errors are the same, with
the file and the key in front. One message has all errors of a file.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Mapping

import attrs

from rkllm_twisted.abi.layouts import Layout
from rkllm_twisted.abi.scalars import clip, param_error
from rkllm_twisted.abi.to_c import ArgumentBuilder, fields_of
from rkllm_twisted.chat.families import ImageMarks, InfillMarks
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.models import setting_rules
from rkllm_twisted.models.setting_rules import AdapterFile

#: The file's name; beside a flat file ``NAME.gguf`` it is ``NAME.rkllm.toml``.
FILE_NAME = "rkllm.toml"
#: The largest file, in bytes; real files have a few kilobytes.
MAX_SETTINGS_BYTES = 1 << 18


@attrs.frozen
class ModelSettings:
    """The settings in ``rkllm.toml``; each field is a key of the file, and may be left out.

    :param kind: a row of :data:`setting_rules.KINDS`.
    :param family: a name of :data:`rkllm_twisted.chat.family_table.FAMILIES`.
    :param template: a file beside the model, in place of ``chat_template.jinja``.
    :param aliases: other names of the model.
    :param capabilities: the abilities that the model's files do not show.
    :param pooling: the way to make an embedding of hidden states.
    :param end_tokens: tokens that end an answer, by id or by text.
    :param adapters: the adapters to load with the model, by name.
    :param infill: the marks of fill-in-the-middle.
    :param image: the texts around an image's rows.
    :param param: fields of RKLLMParam, except model_path.
    :param sampling: fields of RKLLMSamplingParam.
    """

    kind: str | None = None
    family: str | None = None
    template: str | None = None
    aliases: tuple[str, ...] = ()
    capabilities: tuple[str, ...] | None = None
    pooling: str | None = None
    end_tokens: tuple[int | str, ...] = ()
    adapters: Mapping[str, AdapterFile] = attrs.field(factory=dict)
    infill: InfillMarks | None = None
    image: ImageMarks | None = None
    param: Mapping[str, object] = attrs.field(factory=dict)
    sampling: Mapping[str, object] = attrs.field(factory=dict)


#: The keys that hold tables -> the structure with these fields.
_STRUCTURES = {"param": "RKLLMParam", "sampling": "RKLLMSamplingParam"}
#: ``base_domain_id`` stands for ``param.extend_param.base_domain_id``.
_DOMAIN = "base_domain_id"
KEYS = (*(field.name for field in attrs.fields(ModelSettings)), _DOMAIN)


def read_settings(name: str, data: bytes, layout: Layout) -> ModelSettings:
    """Read a file.

    :param name: the file's name, for the errors.
    :param data: the file's content.
    :param layout: the layout of the loaded release of the runtime.
    :raises InvalidParams: the text has every error of the file, ``data`` the file and parameters.
    """
    try:
        values = _parsed(data)
        errors = list(_errors(values, layout))
    except InvalidParams as error:
        errors = [error]
    if errors:
        raise InvalidParams(
            " ".join(f"{name}: {error.message}" for error in errors),
            {"file": name, "parameters": [(error.data or {}).get("parameter") for error in errors]},
        )
    return _settings(values)


def _parsed(data: bytes) -> Mapping[str, object]:
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415 - for a file only
    else:
        import tomli as tomllib  # noqa: PLC0415 - as above
    if len(data) > MAX_SETTINGS_BYTES:
        raise InvalidParams(f"It is larger than {MAX_SETTINGS_BYTES} bytes.")
    try:
        values: Mapping[str, object] = tomllib.loads(data.decode("utf-8"))
        return values
    except (ValueError, RecursionError) as error:  # of TOML as of UTF-8
        raise InvalidParams(f"It is not TOML: {error}.") from None


def _errors(values: Mapping[str, object], layout: Layout) -> Iterator[InvalidParams]:
    for key, value in values.items():
        yield from _errors_of_key(key, value, layout)
    match values:
        case {"base_domain_id": _, "param": {"extend_param": {"base_domain_id": _}}}:
            yield param_error(_DOMAIN, "stands in param.extend_param, too; leave one of them out")


def _errors_of_key(key: str, value: object, layout: Layout) -> list[InvalidParams]:
    try:
        if key in _STRUCTURES:
            return list(_errors_of_structure(key, value, layout))
        if key not in setting_rules.CHECKS:
            return [_unknown(key, layout)]
        setting_rules.CHECKS[key](key, value)
    except InvalidParams as error:
        return [error]
    return []


def _errors_of_structure(key: str, value: object, layout: Layout) -> Iterator[InvalidParams]:
    """Check each field by itself, as rkllm.init does."""
    name = _STRUCTURES[key]
    if name not in layout.release.structs:
        having = layout.release.releases_where(lambda one: name in one.structs)
        what = f"is not in release {layout.release.name}, which is loaded, but in"
        raise param_error(key, f"{what} {', '.join(having)}; use param")
    if not isinstance(value, Mapping):
        raise param_error(key, f"must be a table with fields of {name}")
    for field, item in value.items():
        if (key, field) == ("param", "model_path"):
            yield param_error("param.model_path", "is the file beside this one; leave it out")
            continue
        for part in _parts(item):
            given = {"model_path": "model", field: part} if key == "param" else {field: part}
            try:
                ArgumentBuilder(layout).structure(name, key, given)
            except InvalidParams as error:
                yield error


def _parts(item: object) -> list[object]:
    """Return the members of a nested structure, each by itself, so that all are checked."""
    if isinstance(item, Mapping) and item:
        return [{name: member} for name, member in item.items()]
    return [item]


def _unknown(key: str, layout: Layout) -> InvalidParams:
    fields = fields_of(layout.release, layout.release.structs["RKLLMParam"])
    if key in fields:
        return param_error(key, f"belongs below [param], as a field of RKLLMParam: param.{key}")
    close = difflib.get_close_matches(key.lower().replace("-", "_"), [*KEYS, *fields], 1)
    below = "param." if close and close[0] not in KEYS else ""
    perhaps = f"perhaps {below}{close[0]} is meant" if close else f"there are {', '.join(KEYS)}"
    return param_error(clip(key), f"is no key of {FILE_NAME}; {perhaps}")


def _settings(values: Mapping[str, object]) -> ModelSettings:
    """Return the settings of a file without errors."""
    made = {
        key: setting_rules.CHECKS[key](key, value) if key in setting_rules.CHECKS else value
        for key, value in values.items()
    }
    domain = made.pop(_DOMAIN, None)
    if domain is not None:
        param: Mapping[str, object] = made.get("param", {})  # type: ignore[assignment]
        extend: Mapping[str, object] = param.get("extend_param", {})  # type: ignore[assignment]
        made["param"] = {**param, "extend_param": {_DOMAIN: domain, **extend}}
    return ModelSettings(**made)  # type: ignore[arg-type]
