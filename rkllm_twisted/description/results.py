"""The results of the daemon's own methods; neither plugins nor rkllm.h have most of them.

A test compares the table with a daemon's answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from rkllm_twisted.abi.declarations import CType, Function, Parameter
from rkllm_twisted.abi.release import Release
from rkllm_twisted.description.inference_results import INFERENCE_RESULTS
from rkllm_twisted.description.model import Item, ResultModel, Type, item
from rkllm_twisted.description.model_results import MODEL_RESULTS
from rkllm_twisted.description.server_results import SERVER_RESULTS
from rkllm_twisted.description.structures import type_of
from rkllm_twisted.description.vision_results import VISION_RESULTS

_DONE = (
    item("success", "boolean", "true; what fails is answered with an error."),
    item("status_code", "integer", "What the C function returned: 0."),
)
_RUN = (
    item("_callback_state", "integer", "How far the run is.", of="LLMCallState"),
    item(
        "results",
        "array",
        "With n_batch > 1 only: the result of each row; the fields beside it are the first row's.",
        items="RKLLMResult",
    ),
    item(
        "_lines",
        "array",
        "The errors and warnings that the library printed during the run, in its last result only:"
        " that a history did not fit, for example.",
        items="string",
    ),
    item(
        "_finish_reason",
        "string",
        "In the last result, if the model has not ended the answer: length (the run, the model or"
        " the context allows no more tokens) or cancelled (rkllm.abort).",
    ),
    item(
        "_prompt_cache_saved",
        "boolean",
        "With save_prompt_cache, in the last result only: whether the runtime has written it.",
    ),
)
_SOMETIMES = frozenset({"results", "_lines", "_prompt_cache_saved", "_finish_reason"})
#: The result of any other method: a third party's may be anything.
UNKNOWN = ResultModel("What the plugin says.")
#: By method.
RESULTS: Mapping[str, ResultModel] = {
    **INFERENCE_RESULTS,
    **VISION_RESULTS,
    **MODEL_RESULTS,
    **SERVER_RESULTS,
    "rkllm.run": ResultModel(
        "The result that ends the run, with the text of all of them.",
        "RKLLMResult",
        _RUN,
        _SOMETIMES,
    ),
    "rkllm.run_async": ResultModel(
        "One result for each callback.", "RKLLMResult", _RUN, _SOMETIMES
    ),
    "rkllm.is_running": ResultModel(
        items=(*_DONE, item("is_running", "boolean", "true while a run is under way."))
    ),
    "rkllm.pause": ResultModel(
        items=(*_DONE, item("paused", "boolean", "Whether there was a run to pause."))
    ),
    "rkllm.get_constants": ResultModel(
        "An object for each enum, with the number of each name.", type=Type(("object",))
    ),
}


def result_of_function(release: Release, function: Function) -> ResultModel:
    """Describe the result of a C function that is not in :data:`RESULTS`.

    It is the structure that the function returns, or success and what C writes to.
    """
    if function.returns.base in release.structs:
        return ResultModel(structure=function.returns.base)
    return ResultModel(items=(*_DONE, *(_output(release, p) for p in function.outputs)))


def _output(release: Release, parameter: Parameter) -> Item:
    kind = type_of(release, CType(parameter.type.base))
    if parameter.per_row:
        kind = Type(("array",), items=kind.json[0] if kind.of is None else kind.of)
    return Item(parameter.name, kind, parameter.about, parameter.unit)
