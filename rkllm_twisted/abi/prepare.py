"""Makes a call of a request's parameters, ready for C. Pure: it does not use the library."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping

import attrs

from rkllm_twisted.abi import struct_rules
from rkllm_twisted.abi.arguments import Signature, assign_arguments
from rkllm_twisted.abi.declarations import Function, Parameter
from rkllm_twisted.abi.from_c import text_of
from rkllm_twisted.abi.layouts import CData, Layout
from rkllm_twisted.abi.scalars import param_error
from rkllm_twisted.abi.to_c import (
    ArgumentBuilder,
    DefaultsToFill,
    Embeddings,
    FileParameter,
    convert,
)
from rkllm_twisted.errors import NotInRelease
from rkllm_twisted.values import ModelLimits, Params

#: The fields of RKLLMParam that say how tokens are chosen.
_SAMPLING = (
    *("top_k", "top_p", "temperature", "repeat_penalty", "frequency_penalty", "presence_penalty"),
    *("mirostat", "mirostat_tau", "mirostat_eta"),
)
#: The functions that set the text around a conversation.
_TEMPLATES = frozenset({"rkllm_set_chat_template", "rkllm_set_function_tools"})


@attrs.frozen(eq=False)
class PreparedCall:
    """A call with its arguments, without the slots that the daemon fills when it calls C.

    It is good for one call. It owns every buffer that its arguments point to.

    :param arguments: C name -> ctypes value.
    :param lengths: the number of elements of each list among them.
    :param files: the files that C will open.
    :param partials: structures to complete with the parameters that the model was loaded with.
    :param embeddings: arrays that must fit the width of the loaded model's embeddings.
    :param descriptors: the open files that ``/proc/self/fd/N`` in its texts names.
    """

    function: Function
    arguments: Mapping[str, CData] = attrs.field(repr=False)
    lengths: Mapping[str, int] = attrs.field(repr=False)
    files: tuple[FileParameter, ...]
    partials: tuple[DefaultsToFill, ...] = attrs.field(repr=False)
    embeddings: tuple[Embeddings, ...] = attrs.field(repr=False)
    alive: tuple[object, ...] = attrs.field(repr=False)
    descriptors: tuple[int, ...] = attrs.field(default=(), repr=False)

    @property
    def name(self) -> str:
        """The function of rkllm.h."""
        name: str = self.function.name
        return name

    @property
    def checked(self) -> PreparedCall:
        """Itself: the prepared call of every runtime has this member."""
        return self

    @property
    def model_path(self) -> str | None:
        """The path of the model that the call loads; None if the call is not rkllm_init."""
        if self.function.name != "rkllm_init":
            return None
        return next((file.name for file in self.files), None)

    @property
    def model_limits(self) -> ModelLimits | None:
        """The limits of the model that the call loads; None if the call is not rkllm_init."""
        if self.function.name != "rkllm_init":
            return None
        param = self.arguments["param"]
        return ModelLimits(
            param.max_context_len,
            param.max_new_tokens,
            bool(param.skip_special_token),
            {name: getattr(param, name) for name in _SAMPLING},
            _image_texts(param),
        )

    @property
    def max_new_tokens(self) -> int:
        """The limit of a run's answer in tokens; 0 if the call sets none (1.3.0 and later)."""
        given = self.arguments.get("rkllm_infer_params")
        return max(0, getattr(given, "max_new_tokens", 0))

    @property
    def keeps_history(self) -> bool:
        """True if the prompt and the answer of a run stay in the cache."""
        given = self.arguments.get("rkllm_infer_params")
        return bool(getattr(given, "keep_history", False))

    @property
    def template_words(self) -> Mapping[str, int]:
        """The number of words in each text of the template that the call sets.

        A token never spans two words, so that the text has at least as many tokens.
        """
        if self.function.name not in _TEMPLATES:
            return {}
        texts = {name: text_of(value) or "" for name, value in self.arguments.items()}
        return {name: len(text.split()) for name, text in texts.items()}

    @property
    def adapter_name(self) -> str | None:
        """The name of the adapter that the call loads; None if the call is not rkllm_load_lora."""
        if self.function.name != "rkllm_load_lora":
            return None
        return text_of(self.arguments["lora_adapter"].lora_adapter_name)


def _image_texts(param: CData) -> tuple[str, str, str] | None:
    if not hasattr(param, "img_start"):
        return None
    start, content, end = (
        text_of(text) or "" for text in (param.img_start, param.img_content, param.img_end)
    )
    return start, content, end


def prepare(layout: Layout, defaults: bytes, function: str, params: Params) -> PreparedCall:
    """Check the parameters of a request and build the arguments.

    :param defaults: the bytes of the RKLLMParam of ``rkllm_createDefaultParam``.
    :param function: e.g. ``rkllm_init``.
    :raises InvalidParams: a parameter or field is wrong; the text names it.
    :raises NotInRelease: the release lacks the function; the text names those that have it.
    """
    declared = find_function(layout, function)
    values = assign_arguments(declared, params)
    call = ArgumentBuilder(layout)
    arguments: dict[str, CData] = {}
    lengths: dict[str, int] = {}
    for parameter in declared.parameters:
        if parameter.name not in values:
            continue
        value, length = _argument(call, defaults, parameter, values[parameter.name])
        arguments[parameter.name] = value
        if length is not None:
            lengths[parameter.name] = length
    for one, other in itertools.pairwise(p.name for p in Signature.of(declared).own if p.per_row):
        if lengths.get(one) != lengths.get(other):
            what = f"must have as many elements as {other}, one for each row of the batch"
            raise param_error(one, f"{what}; or leave out both")
    return PreparedCall(
        declared,
        arguments,
        lengths,
        tuple(call.files),
        tuple(call.partials),
        tuple(call.embeddings),
        tuple(call.alive),
    )


def find_function(layout: Layout, function: str) -> Function:
    """Return a function of the release.

    :raises NotInRelease: the release lacks it; the text names the releases that have it.
    """
    declared = layout.release.functions.get(function)
    if declared is None:
        having = layout.release.releases_where(lambda one: function in one.functions)
        where = f"it needs {having[0]} or later" if having else "no known release has it"
        raise NotInRelease(
            f"The loaded runtime has the interface of release {layout.release.name}, which has no"
            f" {function}; {where}.",
            {"function": function, "releases": having},
        )
    return declared


def _argument(
    call: ArgumentBuilder, defaults: bytes, parameter: Parameter, value: object
) -> tuple[CData, int | None]:
    name, kind = parameter.name, parameter.type
    if kind.base == "RKLLMInput":
        return _inputs(call, name, value)
    if kind.base in call.layout.structs:
        start = defaults if kind.base == "RKLLMParam" else None
        # Without rkllm_infer_params C gets zeros: RKLLM_INFER_GENERATE, and no history is kept.
        return call.structure(kind.base, name, {} if value is None else value, start), None
    if name == "tools" and isinstance(value, (list, Mapping)):
        value = _json_text(name, value)
    elif name == "tools" and isinstance(value, str):
        _check_json(name, value)
    converted, length = convert(call, kind, name, value)
    if struct_rules.names_file(name):
        call.files.append(FileParameter(name, str(value)))
    return converted, length


def _check_json(name: str, text: str) -> None:
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        problem = str(error).partition(":")[0]
        raise param_error(name, f"must be JSON, as text or as it is ({problem})") from None


def _json_text(name: str, value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        raise param_error(name, "holds a number that JSON cannot say") from None


def _inputs(call: ArgumentBuilder, name: str, value: object) -> tuple[CData, int | None]:
    """Make an array of inputs: one, or as many as the list has."""
    if not isinstance(value, list):
        made = [call.structure("RKLLMInput", name, value)]
    else:
        made = [call.structure("RKLLMInput", f"{name}[{i}]", v) for i, v in enumerate(value)]
    array = (call.layout.structs["RKLLMInput"] * len(made))(*made)
    return array, len(made) if isinstance(value, list) else None


def inputs_for(prepared: PreparedCall, rows: int) -> CData:
    """Return an input for each row of the batch: C reads one per row.

    :raises InvalidParams: a list has another number of inputs. A single input serves every row.
    """
    inputs = prepared.arguments["rkllm_input"]
    given = prepared.lengths.get("rkllm_input")
    if given is None:
        return (type(inputs[0]) * rows)(*[inputs[0]] * rows)
    if given != rows:
        raise param_error("rkllm_input", f"has {given} inputs, but the model's n_batch is {rows}")
    return inputs


def check_rows(prepared: PreparedCall, rows: int) -> None:
    """Check the arrays with one element for each row of the batch.

    :raises InvalidParams: one has another number of elements.
    """
    for parameter in prepared.function.parameters:
        given = prepared.lengths.get(parameter.name) if parameter.per_row else None
        if given is not None and given != rows:
            problem = f"has {given} elements, but the model's n_batch is {rows}"
            raise param_error(parameter.name, problem)
