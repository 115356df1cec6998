"""The chat page in a browser: nothing that a user or a model wrote is ever HTML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HTML = "<img src=x onerror=alert(1)><script>alert(2)</script>"
#: Elements that only HTML in a message could have made.
FOREIGN = "#messages :is(img, script, b, iframe, style, [onerror]), #conversations :is(img, script)"


def test_what_a_model_writes_stays_text(chat: Any) -> None:
    chat.ask("Show me html")
    assert HTML in chat.answers[0]
    assert chat.page.locator(FOREIGN).count() == 0


def test_what_a_user_writes_stays_text(chat: Any) -> None:
    chat.ask(f"{HTML} <b>hello</b>")
    assert chat.questions == [f"{HTML} <b>hello</b>"]
    assert HTML in chat.texts("#conversations .title")[0]
    assert chat.page.locator(FOREIGN).count() == 0


def test_what_a_file_brings_stays_text(chat: Any, tmp_path: Path) -> None:
    message = {"id": "m", "role": "assistant", "content": HTML, "problem": HTML, "figures": HTML}
    calls = [{"id": HTML, "name": HTML, "arguments": HTML}]
    message |= {"model": HTML, "notes": [HTML], "reasoning": HTML, "calls": calls}
    conversation = {"id": "c", "title": HTML, "messages": {"m": message}, "leaf": "m"}
    path = tmp_path / "saved.json"
    path.write_text(json.dumps({"format": "rkllm-chat", "conversations": [conversation]}))
    chat.page.set_input_files("#import-file", path)
    chat.sees(".who", HTML)
    assert chat.page.locator(FOREIGN).count() == 0


def test_a_models_link_goes_to_the_web_only(chat: Any) -> None:
    chat.ask("Show me html")
    links = chat.page.locator(".body a")
    assert [link.get_attribute("href") for link in links.all()] == ["https://a.example/"]
    assert set(links.first.get_attribute("rel").split()) >= {"noopener", "noreferrer"}


def test_the_browser_itself_makes_no_html_of_a_text(chat: Any) -> None:
    told = chat.page.evaluate(
        "() => { try { document.body.innerHTML = '<b>x</b>'; } catch (e) { return e.name; } }"
    )
    assert told == "TypeError"


def test_no_listener_is_made_of_a_text(chat: Any) -> None:
    told = chat.page.evaluate(
        """() => {
            const element = document.createElement("p");
            try { element.setAttribute("onclick", "stop()"); } catch (e) { return e.name; }
        }"""
    )
    assert told == "TypeError"
