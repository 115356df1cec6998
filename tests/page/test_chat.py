"""The chat page in a browser: conversations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon
from web_service import WebService

Gate = Callable[[str], None]


def test_an_answer_is_shown_while_it_is_written(chat: Any, gate: Gate) -> None:
    chat.send("gate")
    chat.sees(".body", "One")
    chat.sees("#stop")
    gate("open")
    chat.wait()
    assert chat.answers == ["One two."]


def test_the_figures_are_below_the_answer(chat: Any) -> None:
    chat.ask("Hello there")
    (figures,) = chat.texts(".figures")
    assert "first token after" in figures
    assert "2 tokens" in figures
    assert "cached" in figures


@pytest.mark.parametrize("way", ["button", "key"])
def test_stop_frees_the_npu_and_keeps_what_has_come(chat: Any, daemon: Daemon, way: str) -> None:
    chat.send("endless")
    chat.sees(".body", "on and on")
    if way == "button":
        chat.page.click("#stop")
    else:
        chat.page.keyboard.press("Escape")
    chat.wait()
    with daemon.connect() as client:  # answered once the NPU is free
        assert client.ask("rkllm.get_kv_cache_size", [None, [1]])["id"] == 1
    assert chat.answers[0].startswith("on and")


def test_asking_again_keeps_the_first_answer(chat: Any) -> None:
    chat.ask("Hello")
    chat.page.click("button[aria-label='Answer again']")
    chat.sees(".versions", "2/2")
    chat.wait()
    assert chat.answers == ["Hello"]
    chat.page.click("button[aria-label='Version before']")
    chat.sees(".versions", "1/2")


def test_an_edited_question_stands_beside_the_old_one(chat: Any) -> None:
    chat.ask("First words")
    chat.page.hover(".message.user")
    chat.page.click("button[aria-label='Edit this message']")
    chat.page.fill(".editor textarea", "Other words")
    chat.page.press(".editor textarea", "Enter")
    chat.sees(".body", "Other words")
    chat.wait()
    assert chat.questions == ["Other words"]
    chat.page.click("button[aria-label='Version before']")
    chat.sees(".body", "First words")
    assert chat.questions == ["First words"]


def test_a_conversation_goes_on_with_what_was_said(chat: Any) -> None:
    chat.ask("One")
    with chat.page.expect_request("**/v1/chat/completions") as sent:
        chat.ask("Two")
    roles = [message["role"] for message in sent.value.post_data_json["messages"]]
    assert roles == ["user", "assistant", "user"]


def test_a_reload_keeps_the_conversation(chat: Any) -> None:
    chat.ask("Remember me")
    chat.page.reload()
    chat.sees(".bubble", "Remember me")
    assert chat.answers == ["Remember me"]
    assert chat.texts("#conversations .title") == ["Remember me"]


#: Waits until the conversations in the browser's store have a text.
UNTIL_STORED = """(text) => new Promise((resolve) => {
    const look = () => {
        const opening = indexedDB.open("rkllm");
        opening.onsuccess = () => {
            const table = opening.result.transaction("conversations").objectStore("conversations");
            table.getAll().onsuccess = (event) => {
                opening.result.close();
                if (JSON.stringify(event.target.result).includes(text)) resolve();
                else setTimeout(look, 50);
            };
        };
    };
    look();
})"""


def test_an_answer_that_a_reload_cuts_off_is_kept_as_far_as_it_came(chat: Any) -> None:
    chat.send("endless")
    chat.sees(".body", "on and on and on")
    chat.page.evaluate(UNTIL_STORED, "on and")
    chat.page.reload()
    chat.sees(".problem", "cut off")
    assert chat.answers[0].startswith("on and")


def test_what_is_exported_can_be_imported(chat: Any, tmp_path: Path) -> None:
    chat.ask("Keep this")
    with chat.page.expect_download() as download:
        chat.page.click("#export")
    path = tmp_path / "saved.json"
    download.value.save_as(path)
    assert json.loads(path.read_text())["format"] == "rkllm-chat"
    chat.page.hover("#conversations li")
    chat.page.click("button[aria-label='Delete “Keep this”']")
    chat.sees(".welcome")
    assert chat.texts("#conversations .title") == []
    chat.page.set_input_files("#import-file", path)
    chat.sees(".bubble", "Keep this")
    assert chat.answers == ["Keep this"]


def test_a_file_of_another_kind_is_refused_with_a_sentence(chat: Any, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text("[1, 2]")
    chat.page.set_input_files("#import-file", path)
    chat.sees(".problem", "no conversations")


def test_a_conversation_can_be_renamed(chat: Any) -> None:
    chat.ask("Old title")
    chat.page.hover("#conversations li")
    chat.page.click("button[aria-label='Rename “Old title”']")
    chat.page.fill("#conversations input", "New title")
    chat.page.press("#conversations input", "Enter")
    chat.sees("#conversations .title", "New title")


def test_settings_go_with_the_request(chat: Any) -> None:
    chat.page.click("#open-settings")
    for name, value in {"system": "Be brief.", "temperature": "0.5", "topP": "0.9"}.items():
        chat.page.fill(f"#settings [name={name}]", value)
    chat.page.fill("#settings [name=maxTokens]", "7")
    chat.page.click("#settings .primary")
    with chat.page.expect_request("**/v1/chat/completions") as sent:
        chat.ask("Hello")
    body = sent.value.post_data_json
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.5, 0.9, 7)
    assert (body["model"], body["stream"]) == ("quick", True)
    assert chat.page.url.endswith(f"#{body['prompt_cache_key']}")


def test_tools_that_are_no_json_are_refused(chat: Any) -> None:
    chat.page.click("#open-settings")
    chat.page.fill("#settings [name=tools]", "{")
    chat.page.click("#settings .primary")
    chat.sees("#settings-problem", "JSON array")


def events(*deltas: dict[str, Any], reason: str) -> str:
    """A stream of chunks in OpenAI's form."""
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": reason})
    lines = [f"data: {json.dumps({'choices': [choice]})}\n\n" for choice in choices]
    return "".join([*lines, "data: [DONE]\n\n"])


def test_reasoning_is_folded(chat: Any) -> None:
    body = events({"reasoning_content": "Hm, **two**."}, {"content": "Two."}, reason="stop")
    chat.page.route(
        "**/v1/chat/completions",
        lambda route: route.fulfill(body=body, content_type="text/event-stream"),
    )
    chat.ask("How many?")
    assert chat.answers == ["Two."]
    assert not chat.page.locator("details .markdown").is_visible()
    chat.page.click("summary")
    assert chat.sees("details .markdown").inner_text() == "Hm, two."


def test_a_tool_call_is_shown_and_its_result_goes_back(chat: Any) -> None:
    begin = {"index": 0, "id": "call_1", "type": "function"}
    call = {**begin, "function": {"name": "get_time", "arguments": '{"zone": "<b>UTC</b>"}'}}
    bodies = [
        events({"tool_calls": [call]}, reason="tool_calls"),
        events({"content": "It is noon."}, reason="stop"),
    ]
    sent: list[Any] = []

    def answer(route: Any) -> None:
        sent.append(route.request.post_data_json)
        route.fulfill(body=bodies[len(sent) - 1], content_type="text/event-stream")

    chat.page.route("**/v1/chat/completions", answer)
    chat.ask("What time is it?")
    assert '"<b>UTC</b>"' in chat.sees(".call pre").inner_text()
    chat.page.fill("textarea[aria-label='Result of get_time']", "12:00")
    chat.page.click(".call button[type=submit]")
    chat.sees(".body", "It is noon.")
    question, called, result = sent[1]["messages"]
    assert question["role"] == "user"
    assert called["tool_calls"][0]["function"]["name"] == "get_time"
    assert result == {"role": "tool", "content": "12:00", "tool_call_id": "call_1"}


def test_code_has_a_button_that_copies_it(new_chat: Any, service: WebService) -> None:
    chat = new_chat(service.address, permissions=["clipboard-read", "clipboard-write"]).open()
    chat.ask("rich")
    chat.page.click(".copy-code")
    assert chat.page.evaluate("navigator.clipboard.readText()") == "print('x')"


def test_markdown_becomes_elements(chat: Any) -> None:
    chat.ask("rich")
    for selector in ("h3", "strong", "em", "ol ul li", "pre code", "table td", "blockquote"):
        chat.sees(f".body {selector}")


def test_keys_do_what_the_list_says(chat: Any) -> None:
    chat.ask("Hello")
    chat.page.press("#prompt", "ArrowUp")
    chat.sees(".editor textarea")
    chat.page.keyboard.press("Escape")
    chat.page.locator(".bubble").wait_for()
    chat.page.evaluate("document.activeElement.blur()")
    chat.page.keyboard.press("/")
    assert chat.page.evaluate("document.activeElement.id") == "prompt"
    chat.page.keyboard.press("Alt+r")
    chat.sees(".versions", "2/2")
    chat.wait()
    chat.page.keyboard.press("Alt+n")
    chat.sees(".welcome")
    chat.page.keyboard.press("Alt+s")
    chat.sees("#settings")
