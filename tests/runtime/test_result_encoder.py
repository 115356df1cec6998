"""A token's JSON is what converting the whole structure gives, byte for byte."""

from __future__ import annotations

import ctypes
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_corpus import corpus

from rkllm_twisted.abi.from_c import to_json
from rkllm_twisted.abi.layouts import CData, Layout, layout_of
from rkllm_twisted.abi.release import releases
from rkllm_twisted.abi.result_copy import TokenCopies
from rkllm_twisted.runtime.callback import RunCallbacks
from rkllm_twisted.runtime.result_encoder import ResultEncoder
from rkllm_twisted.wire.encoded_result import EncodedResult
from rkllm_twisted.wire.encoding import encode, with_arrays_encoded

LAYOUTS = {name: layout_of(release) for name, release in releases().items()}
#: The clients' bytes as they were when each result was converted by itself; by release and rows.
DIGESTS = {
    ("1.1.4", 1): "f0aeff52af19216e31a91042c3efebf348f00f52ebf6a70cf1a555c5c04afc07",
    ("1.1.4", 2): "ab627a1048df6e1579eaa533c3ba238a2311b1f49bfb595aa57ae3f226ae6b23",
    ("1.2.0", 1): "96ea884664abfc2894eddcdf9c1573c4f3d12988a24986b01757c1f388f2aeaa",
    ("1.2.0", 2): "e5157a91234cebce3cfa5f4e478ee794e3fa959128a634cca95316e57a767953",
    ("1.2.1", 1): "bb4f6d806216286ee9f6f9b69ee0af29993321214f8666e442e9573ea648090b",
    ("1.2.1", 2): "18f790352e4ee9a65c24971310c351ff87e17953838999eef43e2f28fde6519e",
    ("1.3.0", 1): "bb4f6d806216286ee9f6f9b69ee0af29993321214f8666e442e9573ea648090b",
    ("1.3.0", 2): "18f790352e4ee9a65c24971310c351ff87e17953838999eef43e2f28fde6519e",
}


def callbacks(layout: Layout, take: Any, rows: int = 1) -> RunCallbacks:
    """Return the callbacks of a run."""
    return RunCallbacks(layout, ResultEncoder(layout), 1, rows, take, lambda: None)


def call_back(run: RunCallbacks, state: int, *rows: CData) -> None:
    """Make a callback as C does."""
    array = (type(rows[0]) * len(rows))(*rows)
    run.receive(ctypes.cast(array, ctypes.POINTER(type(rows[0]))), state)


@pytest.mark.parametrize(("name", "rows"), DIGESTS)
def test_five_thousand_tokens_are_the_bytes_that_they_were(name: str, rows: int) -> None:
    """Both forms of arrays, half characters, other states, NULL texts, changing figures."""
    digest = hashlib.sha256()
    seen: list[bool] = []

    def take(results: Any) -> None:
        for result in results:
            seen.append(isinstance(result, EncodedResult))
            for form in ("json", "base64"):
                digest.update(encode(result, form) + b"\n")

    run = callbacks(LAYOUTS[name], take, rows)
    for state, structure in corpus(LAYOUTS[name], 5000):
        call_back(run, state, *[structure] * rows)
    run.close()
    assert digest.hexdigest() == DIGESTS[name, rows]
    assert len(seen) >= 5000
    assert seen.count(True) > 2500 or rows > 1, "most take the short way"


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("rows", [1, 2])
def test_tokens_of_another_process_are_the_same_together_and_by_themselves(
    name: str, rows: int
) -> None:
    """Half characters, figures that change, and pointers to arrays that were not sent."""
    layout = LAYOUTS[name]
    structure = layout.structs["RKLLMResult"]
    pointing = structure(token_id=7)
    pointing.last_hidden_layer.hidden_states = ctypes.pointer(ctypes.c_float(0))
    made = [structure(token_id=-1), structure(token_id=2), pointing, structure(token_id=3)]
    euro = "€".encode()
    texts = [b"a", euro[:1], euro[1:], b"", b"\xff", euro, b'"\n', b"z"]
    tokens = TokenCopies(1, [bytes(each) for each in made] * 2, texts)
    # The last read ended inside a character, of which no more comes.
    half, whole = (TokenCopies(1, [bytes(made[0])], [text]) for text in (euro[:1], b"b"))
    reads = [tokens, half, whole]
    together: list[Any] = []
    each: list[Any] = []
    if rows == 1:
        callbacks(layout, together.extend).take(reads)
        run = callbacks(layout, each.extend)
        for read in reads:
            for copy in read.copies():
                run.take([copy])
        assert len(together) == len(texts) + 2
        assert [encode(result) for result in together] == [encode(result) for result in each]
    else:
        with pytest.raises(ValueError, match="1 rows, not 2"):
            callbacks(layout, together.extend, rows).take([tokens])


@st.composite
def structures(draw: st.DrawFn, name: str) -> bytes:
    """Bytes of a release's RKLLMResult: any, or those of one without arrays."""
    layout = LAYOUTS[name]  # no argument: Hypothesis prints those, and a layout is too long for it
    size = ctypes.sizeof(layout.structs["RKLLMResult"])
    if draw(st.booleans()):
        return draw(st.binary(min_size=size, max_size=size))
    result = layout.structs["RKLLMResult"](token_id=draw(st.integers(-(2**31), 2**31 - 1)))
    if hasattr(result, "perf"):
        for field in ("prefill_time_ms", "generate_time_ms", "memory_usage_mb"):
            setattr(result.perf, field, draw(st.floats(width=32)))
        result.perf.generate_tokens = draw(st.integers(-(2**31), 2**31 - 1))
    return bytes(result)


@given(st.data(), st.sampled_from(list(LAYOUTS)))
def test_any_structure_gives_what_the_conversion_of_all_fields_gives(
    data: st.DataObject, name: str
) -> None:
    """What the encoder has kept from the results before makes no difference."""
    layout = LAYOUTS[name]
    encoder = ResultEncoder(layout)
    for structure in data.draw(st.lists(structures(name), min_size=1, max_size=4)):
        text = data.draw(st.none() | st.text())
        result = layout.structs["RKLLMResult"].from_buffer_copy(structure)
        encoded = encoder.encode(structure, text)
        assert (encoded is None) == encoder.has_arrays(result)
        if encoded is not None:
            result.text = None  # the pointer points nowhere
            fields = {**to_json(layout, result), "text": text, "_callback_state": 0}
            assert encoded.json == encode(fields)
            assert encoded == fields
            assert list(encoded) == list(fields)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_padding_does_not_count(layout: Layout) -> None:
    """C leaves what it wants between the fields: the JSON is used again all the same."""
    converted: list[object] = []
    encoder = ResultEncoder(layout)
    encoder._encode_rest = lambda structure: (converted.append(structure), b"}")[1]  # type: ignore[method-assign]
    structure = bytearray(bytes(layout.structs["RKLLMResult"]()))
    for byte in (0, 1, 255):
        structure[12:16] = [byte] * 4
        encoder.encode(bytes(structure), "x")
    assert len(converted) == 1


def test_an_encoded_result_is_a_mapping_like_the_others() -> None:
    """Methods and third parties read, copy and extend it; it is encoded as it is."""
    result = EncodedResult(b'{"text":"a","token_id":1,"_callback_state":0}')
    assert result["_callback_state"] == 0
    assert (result["text"], result.get("nothing"), "text" in result, len(result)) == (
        "a",
        None,
        True,
        3,
    )
    assert {**result, "more": 1} == {"text": "a", "token_id": 1, "_callback_state": 0, "more": 1}
    assert result == {"text": "a", "token_id": 1, "_callback_state": 0}
    assert encode(result, "base64") == result.json
    assert encode({"inside": [result]}) == b'{"inside":[' + result.json + b"]}"
    assert with_arrays_encoded(result, lambda: None) is result
