"""The chat page in a browser: for every user, on every screen."""

from __future__ import annotations

from typing import Any

import pytest
from web_service import WebService

DESKTOP = {"width": 1200, "height": 800}
PHONE = {"width": 360, "height": 720}
SCREENS = {"desktop": DESKTOP, "phone": PHONE}


def violations(chat: Any, axe: str) -> list[str]:
    """What axe-core finds, one line each."""
    chat.page.evaluate(axe)
    found = chat.page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(
    new_chat: Any, service: WebService, axe: str, theme: str, screen: str
) -> None:
    options = {"viewport": SCREENS[screen], "color_scheme": theme, "reduced_motion": "reduce"}
    chat = new_chat(service.address, bypass_csp=True, **options).open()
    assert violations(chat, axe) == []
    chat.ask("rich")
    chat.page.click("button[aria-label='Answer again']")
    chat.sees(".versions")
    chat.wait()
    assert violations(chat, axe) == []
    if screen == "phone":
        chat.page.click("#menu")
        assert violations(chat, axe) == []
    chat.page.click("#open-settings")
    assert violations(chat, axe) == []


def test_a_phone_shows_the_conversation_and_hides_the_list(
    new_chat: Any, service: WebService
) -> None:
    chat = new_chat(service.address, viewport=PHONE, has_touch=True, is_mobile=True).open()
    chat.page.fill("#prompt", "rich")
    chat.page.click("#send")
    chat.sees(".body table")
    assert not chat.page.locator("#new").is_visible()
    assert chat.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    chat.page.click("#menu")
    chat.sees("#new")
    chat.page.click("#close")
    chat.page.locator("#new").wait_for(state="hidden")


def test_the_switch_changes_the_colours_and_a_reload_keeps_them(
    new_chat: Any, service: WebService
) -> None:
    chat = new_chat(service.address, color_scheme="light").open()
    colour = "getComputedStyle(document.body).backgroundColor"
    light = chat.page.evaluate(colour)
    chat.page.click("#theme")
    dark = chat.page.evaluate(colour)
    assert dark != light
    chat.page.reload()
    assert chat.page.evaluate(colour) == dark


def test_the_focus_is_seen_on_every_step(chat: Any) -> None:
    chat.ask("rich")
    outline = """() => {
        const {outlineStyle, outlineWidth} = getComputedStyle(document.activeElement);
        const isBox = document.activeElement.id === "prompt"; // the box around it has the outline
        const name = document.activeElement.outerHTML.slice(0, 80);
        return [name, isBox || (outlineStyle !== "none" && outlineWidth !== "0px")];
    }"""
    chat.page.evaluate("document.querySelector('.skip').focus()")
    steps = []
    for _ in range(30):
        chat.page.keyboard.press("Tab")
        if chat.page.evaluate("document.activeElement === document.body"):
            break  # once round
        steps.append(chat.page.evaluate(outline))
    assert len(steps) > 10
    assert [name for name, is_seen in steps if not is_seen] == []


def test_a_screen_reader_hears_how_it_goes(chat: Any) -> None:
    assert chat.page.get_attribute("#messages", "aria-live") == "polite"
    chat.ask("Hello")
    assert chat.page.inner_text("#announcer") == "The answer is complete."
