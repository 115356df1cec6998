"""Messages are read from JSON; errors name the place of the mistake."""

from __future__ import annotations

import pytest

from rkllm_twisted.chat.messages import Image, Message, Text, ToolCall, read_messages
from rkllm_twisted.errors import InvalidParams

USER = {"role": "user", "content": "Hi"}
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
PICTURE = "data:image/png;base64,AAAA"


def test_a_conversation_with_all_roles() -> None:
    messages = read_messages(
        [
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            CALLS,
            {"role": "tool", "tool_call_id": "a", "content": "1", "name": "f"},
            {"role": "assistant", "content": "One.", "reasoning_content": "Easy."},
            USER,
        ]
    )
    assert messages == (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("a"), Text("b"))),
        Message("assistant", tool_calls=(ToolCall("a", "f", '{"x": 1}'),)),
        Message("tool", (Text("1"),), tool_call_id="a", name="f"),
        Message("assistant", (Text("One."),), "Easy."),
        Message("user", (Text("Hi"),)),
    )
    assert messages[1].text == "ab"


def test_ollamas_forms_are_known() -> None:
    call = {"function": {"name": "f", "arguments": {"x": "ü"}}}
    answer = {"role": "assistant", "content": "", "tool_calls": [call], "thinking": "Hm."}
    result = {"role": "tool", "content": "1", "tool_name": "f"}
    messages = read_messages([USER, answer, result])
    assert messages[1].tool_calls == (ToolCall("", "f", '{"x": "ü"}'),)
    assert (messages[1].reasoning, messages[2].name) == ("Hm.", "f")


def test_images_are_for_models_that_read_them() -> None:
    part = {"type": "image_url", "image_url": {"url": PICTURE}}
    message = {"role": "user", "content": [part, {"type": "text", "text": "What?"}]}
    assert read_messages([message], no_images=None)[0].images == (Image(bytes(3)),)
    with pytest.raises(InvalidParams, match="this model does not read images"):
        read_messages([message])


def part(value: object) -> list[object]:
    return [{"role": "user", "content": [{"type": "text", "text": ""}, value]}]


def call(value: object) -> list[object]:
    return [USER, {"role": "assistant", "tool_calls": [value]}]


WRONG = [
    (None, "messages", "must be an array of messages"),
    ("Hi", "messages", "must be an array of messages"),
    ([], "messages", "must have at least one message"),
    ([1], "messages[0]", "must be an object with role and content"),
    ([USER, {"content": ""}], "messages[1].role", "must be one of system, developer, user, "),
    ([{"role": "function", "content": ""}], "messages[0].role", 'tool, not "function"'),
    ([{"role": "user"}], "messages[0].content", "is missing"),
    ([{"role": "user", "content": []}], "messages[0].content", "is missing"),
    ([{"role": "user", "content": 3}], "messages[0].content", "must be text or an array of parts"),
    (part("a"), "messages[0].content[1]", "must be an object such as"),
    (part({"type": "text"}), "messages[0].content[1].text", "is missing"),
    (part({"type": "text", "text": 1}), "messages[0].content[1].text", "must be text, not 1"),
    (part({"type": "input_audio"}), "messages[0].content[1].type", '"input_audio" is not read'),
    (part({}), "messages[0].content[1].type", "nothing is not read here, only text"),
    ([{**USER, "name": 1}], "messages[0].name", "must be text, not 1"),
    ([{**CALLS, "role": "user"}], "messages[0].tool_calls", "only an assistant calls tools"),
    (
        [USER, {"role": "assistant", "tool_calls": "f"}],
        "messages[1].tool_calls",
        "an array of calls",
    ),
    (call(1), "messages[1].tool_calls[0].function", "must be an object with name"),
    (call({"function": {}}), "messages[1].tool_calls[0].function.name", "is missing"),
    (
        call({"function": {"name": "f", "arguments": "[1]"}}),
        "messages[1].tool_calls[0].function.arguments",
        "must be a JSON object",
    ),
    (
        call({"function": {"name": "f", "arguments": "[" * 100_000}}),
        "messages[1].tool_calls[0].function.arguments",
        "must be a JSON object",
    ),
    ([{"role": "tool", "content": ""}], "messages[0].role", "a tool result must follow"),
    ([USER, {"role": "tool", "content": ""}], "messages[1].role", "a tool result must follow"),
    (
        [USER, CALLS, USER, {"role": "tool", "content": ""}],
        "messages[3].role",
        "a tool result must follow",
    ),
    (
        [USER, CALLS, {"role": "tool", "content": "", "tool_call_id": "b"}],
        "messages[2].tool_call_id",
        'no call before it has the id "b"',
    ),
    (
        [USER, {"role": "assistant", "content": "a"}],
        "messages[1].role",
        "must be of role user or tool",
    ),
    ([{"role": "system", "content": "a"}], "messages[0].role", "must be of role user or tool"),
]


@pytest.mark.parametrize(("value", "place", "what"), WRONG)
def test_what_is_wrong_is_said_with_its_place(value: object, place: str, what: str) -> None:
    with pytest.raises(InvalidParams) as error:
        read_messages(value)
    assert error.value.data == {"parameter": place}
    assert error.value.message.startswith(f"{place}: ")
    assert what in error.value.message
    assert len(error.value.message) < 200


@pytest.mark.parametrize("url", ["http://example.org/a.png", "file:///etc/passwd", None, 3])
def test_nothing_is_fetched(url: object) -> None:
    value = part({"type": "image_url", "image_url": {"url": url}})
    with pytest.raises(InvalidParams, match="must be a data: URI"):
        read_messages(value, no_images=None)


@pytest.mark.parametrize(
    "url", ["data:,AAAA", "data:image/png,AAAA", "data:image/png;base64,A", "data:;base64,ü"]
)
def test_a_data_uri_is_base64(url: str) -> None:
    value = part({"type": "image_url", "image_url": {"url": url}})
    with pytest.raises(InvalidParams, match=r"content\[1\].image_url.url: .* base64"):
        read_messages(value, no_images=None)


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        ("image/svg+xml;base64", "image/svg+xml"),
        ("image/svg+xml;utf8", "image/svg+xml"),
        ("IMAGE/GIF;base64", "IMAGE/GIF"),
        ("image/heic;base64", "image/heic"),
        ("application/pdf;name=a.pdf;base64", "application/pdf"),
        ("text/plain;charset=utf-8", "text/plain"),
        ("video/mp4;base64", "video/mp4"),
    ],
)
def test_what_is_no_picture_of_pixels_is_refused_by_its_type(start: str, kind: str) -> None:
    value = part({"type": "image_url", "image_url": {"url": f"data:{start},AAAA"}})
    with pytest.raises(InvalidParams) as error:
        read_messages(value, no_images=None)
    said = f"is called {kind}, and only JPEG, PNG and WebP pictures are read."
    assert error.value.message == f"messages[0].content[1].image_url.url: {said}"


@pytest.mark.parametrize(
    "start", ["image/jpeg", "", "image/jpg;charset=utf-8", "application/octet-stream", "image/*"]
)
def test_any_kind_of_picture_may_be_announced(start: str) -> None:
    value = part({"type": "image_url", "image_url": f"data:{start};base64,AA\nAA"})
    assert read_messages(value, no_images=None)[0].images == (Image(bytes(3)),)


def test_an_image_may_be_in_a_file() -> None:
    value = part({"type": "image", "path": "a.png"})
    assert read_messages(value, no_images=None)[0].images == (Image(b"", "a.png"),)
    with pytest.raises(InvalidParams, match=r"content\[1\].path: is missing"):
        read_messages(part({"type": "image"}), no_images=None)


@pytest.mark.parametrize("kind", ["image", "image_url"])
def test_the_error_says_why_images_are_not_read(kind: str) -> None:
    with pytest.raises(InvalidParams, match=r"content\[1\].type: the lamp is off\."):
        read_messages(part({"type": kind}), no_images="the lamp is off")


def test_a_message_has_a_few_images_at_most() -> None:
    images = [{"type": "image", "path": "a.png"}]
    read_messages([{"role": "user", "content": images * 8}], no_images=None)
    with pytest.raises(InvalidParams, match=r"messages\[0\].content: has more than 8 images"):
        read_messages([{"role": "user", "content": images * 9}], no_images=None)


def test_users_and_tools_show_images() -> None:
    image = {"type": "image_url", "image_url": PICTURE}
    with pytest.raises(InvalidParams, match="only roles user and tool show images, not role sys"):
        read_messages([{"role": "system", "content": [image]}, USER], no_images=None)
    result = {"role": "tool", "tool_call_id": CALL["id"], "content": [image]}
    messages = [USER, {"role": "assistant", "tool_calls": [CALL]}, result]
    assert read_messages(messages, no_images=None)[-1].images == (Image(bytes(3)),)


def test_results_of_one_answers_calls_come_in_any_order() -> None:
    other = {**CALL, "id": "b"}
    answers = {"role": "assistant", "tool_calls": [CALL, other]}
    results = [{"role": "tool", "content": one, "tool_call_id": one} for one in "ba"]
    assert len(read_messages([USER, answers, *results])) == 4


def test_very_many_results_find_their_calls_at_once() -> None:
    """The square of their number would take minutes."""
    many = range(20_000)
    calls = [{"id": f"c{number}", "function": {"name": "f"}} for number in many]
    results = [{"role": "tool", "tool_call_id": f"c{number}", "content": "1"} for number in many]
    asked = {"role": "user", "content": "x"}
    read = read_messages([asked, {"role": "assistant", "tool_calls": calls}, *results])
    assert len(read) == 20_002


def test_a_message_of_ten_megabytes_is_a_message() -> None:
    assert len(read_messages([{"role": "user", "content": "x" * 10_000_000}])[0].text) == 10_000_000
