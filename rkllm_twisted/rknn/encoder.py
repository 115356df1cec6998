"""One object owns a context of librknnrt: an opened encoder."""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zope.interface import implementer

from rkllm_twisted.errors import InvalidParams, NoModel, RPCError, RuntimeRefused
from rkllm_twisted.rknn.layouts import CONTEXT, CORE_MASKS, NHWC, QUERIES, STRUCTURES, UINT8
from rkllm_twisted.rknn.library import Library
from rkllm_twisted.rknn.shapes import Tensor, check_versions, shape_of
from rkllm_twisted.values import FloatArray
from rkllm_twisted.vision.rows import interleaved
from rkllm_twisted.vision_interfaces import EncoderAbout, IOpenedEncoder

_FLOAT_BYTES = 4


@implementer(IOpenedEncoder)
class RKNNEncoder:
    """An opened ``.rknn`` file. One thread at a time may use it.

    :param path: of the file.
    :param cores: a name of :data:`~rkllm_twisted.rknn.layouts.CORE_MASKS`.
    :ivar warning: what could not be done and does not matter much; None: nothing.
    :raises InvalidParams: the file is no vision encoder, or the library or driver is too old.
    :raises RuntimeRefused: the library refused it.
    """

    def __init__(self, library: Library, path: str, cores: str = "auto") -> None:
        self._library = library
        self._context: Any = CONTEXT()
        self._is_open = False
        self.warning: str | None = None
        library.call("rknn_init", ctypes.byref(self._context), os.fsencode(path), 0, 0, None)
        self._is_open = True
        try:
            self._learn()
            self._choose(cores)
        except RPCError:
            self.close()
            raise

    def _learn(self) -> None:
        version = self._query("sdk_version")
        library, driver = (
            text.decode("utf-8", "replace") for text in (version.api_version, version.drv_version)
        )
        check_versions(library, driver)
        number = self._query("in_out_num")
        shape = shape_of(
            [self._tensor("input_attr", index) for index in range(number.n_input)],
            [self._tensor("output_attr", index) for index in range(number.n_output)],
        )
        self.width, self.height = shape.width, shape.height
        self.tokens, self.row_width, self.outputs = shape.tokens, shape.row_width, shape.outputs
        self.about = EncoderAbout(
            "rknn", self._library.path, library, driver, self._library.is_real, self._memory()
        )

    def _memory(self) -> int | None:
        try:
            return int(self._query("mem_size").total_dma_allocated_size)
        except RuntimeRefused:
            return None  # older libraries do not tell it

    def _tensor(self, query: str, index: int) -> Tensor:
        attr = self._query(query, index)
        return Tensor(tuple(attr.dims[: attr.n_dims]), attr.fmt)

    def _query(self, name: str, index: int | None = None) -> Any:
        number, structure = QUERIES[name]
        answer = STRUCTURES[structure]()
        if index is not None:
            answer.index = index
        size = ctypes.sizeof(answer)
        self._library.call("rknn_query", self._context, number, ctypes.byref(answer), size)
        return answer

    def _choose(self, cores: str) -> None:
        """Choose the NPU's cores. Chips with one core refuse it, which does not matter."""
        if cores not in CORE_MASKS:
            names = ", ".join(CORE_MASKS)
            raise InvalidParams(f"cores: must be one of {names}.", {"parameter": "cores"})
        status = self._library.status_of("rknn_set_core_mask", self._context, CORE_MASKS[cores])
        if status != 0 and cores != "auto":
            self.warning = f"rknn_set_core_mask returned {status}: the library chooses the cores"

    def encode(self, pixels: bytes) -> FloatArray:
        """See :meth:`IOpenedEncoder.encode`."""
        if not self._is_open:
            raise NoModel("The vision encoder is closed.")
        due = self.width * self.height * 3
        if len(pixels) != due:
            raise InvalidParams(
                f"pixels: {len(pixels)} bytes; this encoder takes"
                f" {self.width} x {self.height} x 3 = {due}.",
                {"parameter": "pixels"},
            )
        buffer = (ctypes.c_char * due).from_buffer_copy(pixels)
        given = STRUCTURES["rknn_input"](
            0, ctypes.cast(buffer, ctypes.c_void_p), due, 0, UINT8, NHWC
        )
        self._library.call("rknn_inputs_set", self._context, 1, ctypes.byref(given))
        self._library.call("rknn_run", self._context, None)
        with self._taken() as outputs:
            rows = interleaved([self._rows_of(output) for output in outputs], self.tokens)
        return FloatArray(rows, (self.tokens, self.outputs * self.row_width))

    @contextmanager
    def _taken(self) -> Iterator[Any]:
        """Yield all outputs, and release all of them: one that is not is lost for good."""
        outputs = (STRUCTURES["rknn_output"] * self.outputs)()
        for index, output in enumerate(outputs):
            output.want_float, output.index = 1, index
        self._library.call("rknn_outputs_get", self._context, self.outputs, outputs, None)
        try:
            yield outputs
        finally:
            self._library.status_of("rknn_outputs_release", self._context, self.outputs, outputs)

    def _rows_of(self, output: Any) -> bytes:
        """Copy the numbers of an output.

        :raises RuntimeRefused: they are no rows.
        """
        due = self.tokens * self.row_width * _FLOAT_BYTES
        if not output.buf or output.size != due:
            got = f"{output.size} bytes" if output.buf else "nothing"
            raise _refused(f"gave {got} as output {output.index}, and {due} bytes are due")
        rows = ctypes.string_at(output.buf, due)
        # Doubles hold the sum of any number of finite float32s.
        if not math.isfinite(sum(memoryview(rows).cast("f"))):
            raise _refused(
                "gave numbers that are not finite: an overflow of 16 bits in the encoder; convert"
                " it with another rknn-toolkit2, or try another picture"
            )
        return rows

    def close(self) -> None:
        """See :meth:`IOpenedEncoder.close`."""
        if self._is_open:
            self._is_open = False
            self._library.status_of("rknn_destroy", self._context)


def _refused(what: str) -> RuntimeRefused:
    function = "rknn_outputs_get"
    return RuntimeRefused(f"{function} {what}.", {"function": function, "status_code": 0})
