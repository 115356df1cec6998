"""Messages that another process reads have the same values as those read here."""

from __future__ import annotations

import json
from array import array
from io import BytesIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.abi.prepare import prepare
from rkllm_twisted.abi.release import releases
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.offload import messages
from rkllm_twisted.offload.worker import FLOATS, serve
from rkllm_twisted.values import FloatArray
from rkllm_twisted.wire import jsonrpc, validation
from rkllm_twisted.wire.framing import Netstrings, netstring
from rkllm_twisted.wire.messages import Batch, Malformed, Message, Notification, Reply, Request

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.sampled_from(["2.0", "1.0", 2]),
        "id": st.none() | st.integers() | st.text(),
        "method": st.sampled_from(["server.ping", "", 5]) | st.text(),
        "params": st.lists(VALUES) | st.dictionaries(st.text(), VALUES) | VALUES,
        "result": VALUES,
    },
)
EMBED = {"embed": [0.5, 1, -2.25], "n_tokens": 1}


def there_and_back(payload: bytes) -> Message:
    """Send a message through the other process's encoding and back."""
    return messages.unpack(messages.read(payload, FLOATS))


def comparable(message: Message) -> Any:
    """Convert a message to values that can be compared."""
    if isinstance(message, Batch):
        return [comparable(member) for member in message.members]
    if isinstance(message, Malformed):
        error = message.error
        return (message.id, error.code, error.message, error.data)
    return Reply if isinstance(message, Reply) else message


def request(**params: Any) -> bytes:
    """A request."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "rkllm.run", "params": params}
    return json.dumps(message).encode()


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(MEMBERS | st.lists(MEMBERS, max_size=3) | VALUES)
def test_every_message_is_what_it_is_when_read_at_once(message: Any) -> None:
    """The cases are requests, notifications, batches, replies and invalid messages."""
    payload = json.dumps(message).encode()
    assert comparable(there_and_back(payload)) == comparable(jsonrpc.parse(payload))


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff", b"1", b"[1]"])
def test_what_is_no_message_is_refused_alike(text: bytes) -> None:
    """Both ways give the same error message."""
    assert comparable(there_and_back(text)) == comparable(jsonrpc.parse(text))


def test_floats_come_as_the_library_wants_them() -> None:
    """Float fields of rkllm.h become arrays at any depth, from a list or from base64."""
    listed = there_and_back(request(rkllm_input=[{"embed_input": EMBED}]))
    assert isinstance(listed, Request)
    made = listed.params["rkllm_input"][0]["embed_input"]  # type: ignore[index,call-overload]
    assert made == {"embed": FloatArray(array("f", [0.5, 1, -2.25]).tobytes(), (3,)), "n_tokens": 1}
    coded = {"base64": "AAAAPwAAgD8AABDA", "dtype": "<f4", "shape": [3]}
    again = there_and_back(request(rkllm_input=[{"embed_input": {**EMBED, "embed": coded}}]))
    assert again == listed


def test_other_numbers_stay_numbers() -> None:
    """Lists under other names stay as the client sent them."""
    message = there_and_back(request(tokens=[1, 2.5], nested={"numbers": [[1], [2]]}))
    assert isinstance(message, Request)
    assert message.params == {"tokens": [1, 2.5], "nested": {"numbers": [[1], [2]]}}


@pytest.mark.parametrize(
    ("embed", "words"),
    [
        ([1, "x"], r"embed\[1\]: must be an array of numbers"),
        ([1, None], r"embed\[1\]"),
        ([1e39], r"embed\[0\]: must be finite"),
        ({"base64": "!", "dtype": "<f4", "shape": [1]}, "embed.base64: is not base64"),
        ({"base64": "", "dtype": "<f4", "shape": [0] * 9}, "embed.shape: has more than 8"),
    ],
)
def test_a_wrong_array_is_refused_in_the_same_words(embed: Any, words: str) -> None:
    """The error has the parameter's name, as if the daemon had read the message itself."""
    params = {"rkllm_input": {"input_type": 2, "embed_input": {"embed": embed, "n_tokens": 1}}}
    elsewhere, here = there_and_back(request(**params)), jsonrpc.parse(request(**params))
    refusals = []
    for message in (elsewhere, here):
        assert isinstance(message, Request)
        with pytest.raises(InvalidParams, match=rf"^rkllm_input.embed_input.{words}") as caught:
            prepare(layout_of(releases()["1.3.0"]), b"", "rkllm_run", message.params)
        refusals.append((caught.value.message, caught.value.data))
    assert refusals[0] == refusals[1]


@pytest.mark.parametrize(
    ("params", "where"),
    [({"a": [[0] * 100_001, [0] * 100_000]}, "a[1]"), ([[0] * 200_000], "params[0]")],
)
def test_too_many_values_are_refused(params: Any, where: str) -> None:
    """The error names the place and has the request's id."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "m", "params": params}
    refused = there_and_back(json.dumps(message).encode())
    assert isinstance(refused, Malformed)
    assert (refused.id, refused.error.code) == (b"1", -32602)
    assert refused.error.data == {"parameter": where, "max_values": 200_000}
    assert refused.error.message.startswith(f"{where}: a message may hold 200000 values")


def test_a_notification_has_no_id() -> None:
    """It is still a notification after the other process has read it."""
    payload = b'{"jsonrpc":"2.0","method":"m","params":[]}'
    assert there_and_back(payload) == Notification("m", [])


@pytest.mark.parametrize(
    ("payload", "is_heavy"),
    [
        (b"[" + b"1," * (validation.LIGHT_MESSAGE_BYTES // 2 - 2) + b"1]", False),
        (b"[" + b"1," * (validation.LIGHT_MESSAGE_BYTES // 2) + b"1]", True),
        (b'["' + b"A" * (validation.BULKY_MESSAGE_BYTES - 4) + b'"]', False),
        (b'["' + b"A" * validation.BULKY_MESSAGE_BYTES + b'"]', True),
        (b'["' + b"\\n" * validation.LIGHT_MESSAGE_BYTES + b'"]', True),
    ],
)
def test_heavy_is_what_takes_long_to_read(payload: bytes, is_heavy: bool) -> None:
    """Many values, many escapes or very many bytes are heavy; one long string is not."""
    assert validation.is_heavy(payload) is is_heavy


def test_serving_ends_with_its_input() -> None:
    """The process reads netstrings and writes netstrings in the same order."""
    payloads = [request(a=1), b"no message", request(b=2)]
    answers = BytesIO()
    serve(BytesIO(b"".join(map(netstring, payloads))), answers)
    packed = Netstrings().feed(answers.getvalue())
    assert [comparable(messages.unpack(p)) for p in packed] == [
        comparable(jsonrpc.parse(p)) for p in payloads
    ]
