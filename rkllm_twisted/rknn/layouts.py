"""The structures, signatures and numbers of librknnrt, as data.

They are those of the ``rknn_api.h`` in the multimodal examples of RKLLM 1.2.0 and 1.3.0, which are
the same. Only what a vision encoder needs is here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import c_char, c_float, c_int, c_int8, c_int32, c_uint8, c_uint32, c_uint64, c_void_p
from typing import Any

MAX_DIMS = 16
_NAME_BYTES = 256

#: Structure -> its fields, in order: name, type, number of elements.
FIELDS: Mapping[str, tuple[tuple[str, Any, int], ...]] = {
    "rknn_input_output_num": (("n_input", c_uint32, 1), ("n_output", c_uint32, 1)),
    "rknn_tensor_attr": (
        ("index", c_uint32, 1),
        ("n_dims", c_uint32, 1),
        ("dims", c_uint32, MAX_DIMS),
        ("name", c_char, _NAME_BYTES),
        ("n_elems", c_uint32, 1),
        ("size", c_uint32, 1),
        ("fmt", c_int, 1),
        ("type", c_int, 1),
        ("qnt_type", c_int, 1),
        ("fl", c_int8, 1),
        ("zp", c_int32, 1),
        ("scale", c_float, 1),
        ("w_stride", c_uint32, 1),
        ("size_with_stride", c_uint32, 1),
        ("pass_through", c_uint8, 1),
        ("h_stride", c_uint32, 1),
    ),
    "rknn_sdk_version": (("api_version", c_char, 256), ("drv_version", c_char, 256)),
    "rknn_mem_size": (
        ("total_weight_size", c_uint32, 1),
        ("total_internal_size", c_uint32, 1),
        ("total_dma_allocated_size", c_uint64, 1),
        ("total_sram_size", c_uint32, 1),
        ("free_sram_size", c_uint32, 1),
        ("reserved", c_uint32, 10),
    ),
    "rknn_input": (
        ("index", c_uint32, 1),
        ("buf", c_void_p, 1),
        ("size", c_uint32, 1),
        ("pass_through", c_uint8, 1),
        ("type", c_int, 1),
        ("fmt", c_int, 1),
    ),
    "rknn_output": (
        ("want_float", c_uint8, 1),
        ("is_prealloc", c_uint8, 1),
        ("index", c_uint32, 1),
        ("buf", c_void_p, 1),
        ("size", c_uint32, 1),
    ),
}


def _structure(name: str) -> Any:
    fields = [(field, kind * n if n > 1 else kind) for field, kind, n in FIELDS[name]]
    return type(name, (ctypes.Structure,), {"_fields_": fields})


STRUCTURES: Mapping[str, Any] = {name: _structure(name) for name in FIELDS}

#: ``rknn_context`` on 64 bits; RKLLM exists for no other machine.
CONTEXT = c_uint64
#: Function -> the types of its arguments. Each returns a status.
SIGNATURES: Mapping[str, tuple[Any, ...]] = {
    "rknn_init": (ctypes.POINTER(CONTEXT), ctypes.c_char_p, c_uint32, c_uint32, c_void_p),
    "rknn_destroy": (CONTEXT,),
    "rknn_query": (CONTEXT, c_int, c_void_p, c_uint32),
    "rknn_set_core_mask": (CONTEXT, c_int),
    "rknn_inputs_set": (CONTEXT, c_uint32, c_void_p),
    "rknn_run": (CONTEXT, c_void_p),
    "rknn_outputs_get": (CONTEXT, c_uint32, c_void_p, c_void_p),
    "rknn_outputs_release": (CONTEXT, c_uint32, c_void_p),
}

#: What ``rknn_query`` is asked -> the number of the question, and the structure of its answer.
QUERIES: Mapping[str, tuple[int, str]] = {
    "in_out_num": (0, "rknn_input_output_num"),
    "input_attr": (1, "rknn_tensor_attr"),
    "output_attr": (2, "rknn_tensor_attr"),
    "sdk_version": (5, "rknn_sdk_version"),
    "mem_size": (6, "rknn_mem_size"),
}
#: ``rknn_tensor_type`` and ``rknn_tensor_format``, what an input is given as.
UINT8, NCHW, NHWC = 3, 0, 1
#: The values of ``cores`` -> ``rknn_core_mask``.
CORE_MASKS: Mapping[str, int] = {
    "auto": 0,
    "0": 1,
    "1": 2,
    "2": 4,
    "0_1": 3,
    "0_1_2": 7,
    "all": 0xFFFF,
}

#: Status -> what it means, and what to do.
STATUSES: Mapping[int, str] = {
    -1: "it failed; the log has what it printed",
    -2: "it timed out; another program may hold the NPU",
    -3: "the NPU cannot be used: there is no driver, or no permission for its device",
    -4: "there was no memory for it: load the encoder before the model, and the model with"
    " extend_param.base_domain_id 1",
    -5: "it does not take these parameters",
    -6: "it cannot read the file: it is damaged, or librknnrt is older than the rknn-toolkit2 that"
    " converted it",
    -7: "it lost the encoder",
    -8: "it does not take the input",
    -9: "it does not give the outputs",
    -10: "the driver and librknnrt do not fit together; update both",
    -11: "the file was compiled in advance by another release; convert it again",
    -12: "the file was optimised by another release; convert it again",
    -13: "the file was converted for another chip; convert it for this one",
}
