"""A picture becomes a part of a message."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from rkllm_twisted.chat.messages import Image, read_messages
from rkllm_twisted.client_core.images import image_part

PICTURES = {
    "image/jpeg": b"\xff\xd8\xff\xe0 JPEG",
    "image/png": b"\x89PNG\r\n\x1a\n PNG",
    "image/webp": b"RIFF\0\0\0\0WEBP",
}


@pytest.mark.parametrize("kind", PICTURES)
def test_the_daemon_reads_the_same_bytes(kind: str, tmp_path: Path) -> None:
    data = PICTURES[kind]
    (tmp_path / "a").write_bytes(data)
    for part in (image_part(data), image_part(tmp_path / "a"), image_part(str(tmp_path / "a"))):
        [message] = read_messages([{"role": "user", "content": [part]}], no_images=None)
        assert message.images == (Image(data),)
    url = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    assert part == {"type": "image_url", "image_url": {"url": url}}


def test_another_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("words")
    with pytest.raises(ValueError, match=r"a\.txt is no JPEG, PNG or WebP picture\.$"):
        image_part(tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError):
        image_part(tmp_path / "b.txt")
