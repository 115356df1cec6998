"""The chat page in a browser: images."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest


def png(width: int, height: int) -> bytes:
    """A red picture, made without Pillow."""
    rows = (b"\0" + b"\xff\0\0" * width) * height
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


@pytest.fixture(scope="module")
def models(models: Path) -> Path:
    """Make the model one that reads images, as its settings say."""
    settings = models / "quick.rkllm.toml"
    settings.write_text(f'capabilities = ["completion", "vision"]\n{settings.read_text()}')
    return models


def choose(chat: Any, *pictures: bytes, name: str = "a.png", kind: str = "image/png") -> None:
    files = [{"name": name, "mimeType": kind, "buffer": data} for data in pictures]
    chat.page.set_input_files("#files", files)


def sent(chat: Any, text: str) -> Any:
    """Send a message; return the content of the last message in the request."""
    with chat.page.expect_request("**/v1/chat/completions") as request:
        chat.send(text)
    chat.wait()
    return request.value.post_data_json["messages"][-1]["content"]


def size_of(part: Any) -> tuple[int, int]:
    kind, _, data = part["image_url"]["url"].partition(",")
    assert kind == "data:image/png;base64"
    width, height = struct.unpack(">II", base64.b64decode(data)[16:24])
    return width, height


def test_an_image_is_shown_and_sent_with_the_next_message(chat: Any) -> None:
    choose(chat, png(40, 30))
    chat.sees("#images img")
    *images, text = sent(chat, "What is it?")
    assert [size_of(image) for image in images] == [(40, 30)]
    assert text == {"type": "text", "text": "What is it?"}
    assert chat.page.locator("#images img").count() == 0
    chat.sees(".message.user .shown-images img")
    chat.sees(".problem", "this model does not read images")


def test_a_large_image_is_made_smaller(chat: Any) -> None:
    choose(chat, png(3000, 1000))
    chat.sees("#images img")
    image, _ = sent(chat, "What?")
    assert size_of(image) == (1536, 512)


def test_an_image_is_removed_before_it_is_sent(chat: Any) -> None:
    choose(chat, png(4, 4), png(4, 4))
    chat.page.click("button[aria-label='Remove image 2']")
    chat.page.click("button[aria-label='Remove image 1']")
    assert sent(chat, "Hello") == "Hello"


DROP = """([name, kind, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "a.png", { type: "image/png" }));
  const options = { bubbles: true, cancelable: true };
  const event = kind === "drop"
    ? new DragEvent("drop", { ...options, dataTransfer: transfer })
    : new ClipboardEvent("paste", { ...options, clipboardData: transfer });
  return document.querySelector(name).dispatchEvent(event);
}"""


@pytest.mark.parametrize(("place", "kind"), [("#log", "drop"), ("#prompt", "paste")])
def test_images_are_dropped_and_pasted(chat: Any, place: str, kind: str) -> None:
    data = base64.b64encode(png(5, 6)).decode()
    assert chat.page.evaluate(DROP, [place, kind, data]) is False, "the browser would do more"
    chat.sees("#images img")
    image, _ = sent(chat, "What?")
    assert size_of(image) == (5, 6)


def test_a_reload_keeps_images_and_a_change_shows_them_again(chat: Any) -> None:
    choose(chat, png(4, 4))
    chat.sees("#images img")
    sent(chat, "What?")
    chat.page.reload()
    chat.sees(".message.user .shown-images img")
    chat.page.locator("#model:enabled").wait_for()
    chat.page.hover(".message.user")
    chat.page.click("button[aria-label='Edit this message']")
    chat.page.fill(".editor textarea", "And what else?")
    with chat.page.expect_request("**/v1/chat/completions") as request:
        chat.page.press(".editor textarea", "Enter")
    chat.wait()
    image, text = request.value.post_data_json["messages"][-1]["content"]
    assert (size_of(image), text["text"]) == ((4, 4), "And what else?")


def test_what_is_no_picture_is_refused_in_the_page(chat: Any) -> None:
    choose(chat, b"no picture")
    chat.sees(".problem", "a.png is no JPEG, PNG or WebP picture")
    assert chat.page.locator("#images img").count() == 0


def test_what_is_no_picture_is_named_when_it_is_dropped(chat: Any) -> None:
    drop = DROP.replace('"a.png", { type: "image/png" }', '"a.pdf", { type: "application/pdf" }')
    chat.page.evaluate(drop, ["#log", "drop", ""])
    chat.sees(".problem", "a.pdf is no JPEG, PNG or WebP picture")


def test_a_model_that_reads_no_images_takes_none(chat: Any) -> None:
    assert chat.page.locator("#attach").is_visible()
    chat.choose("slow")
    chat.page.locator("#attach").wait_for(state="hidden")
    choose(chat, png(4, 4))
    chat.sees(".problem", "slow does not read images.")


def test_a_phone_offers_its_camera(new_chat: Any, service: Any) -> None:
    """A browser on a phone opens it for a field with ``capture``; others open their files."""
    chat = new_chat(service.address, has_touch=True, is_mobile=True).open()
    chat.choose("quick")
    camera = chat.page.get_by_role("button", name="Take a photo")
    camera.wait_for()
    with chat.page.expect_file_chooser() as opened:
        camera.click()
    field = opened.value.element
    assert field.get_attribute("capture") == "environment"
    opened.value.set_files({"name": "a.png", "mimeType": "image/png", "buffer": png(7, 8)})
    chat.sees("#images img")
    chat.page.fill("#prompt", "What?")
    with chat.page.expect_request("**/v1/chat/completions") as request:
        chat.page.click("#send")  # a phone's Enter begins a line
    image, _ = request.value.post_data_json["messages"][-1]["content"]
    assert size_of(image) == (7, 8)
    chat.wait()
    chat.choose("slow")
    camera.wait_for(state="hidden")


def test_no_camera_is_offered_with_a_mouse(chat: Any) -> None:
    assert chat.page.locator("#attach").is_visible()
    assert chat.page.locator("#camera").is_hidden()
