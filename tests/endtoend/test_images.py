"""From a JPEG to words through a daemon, with a made-up encoder and a model that echoes."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from daemons import Daemon
from encoder_scripts import encoder_script
from pictures import picture

from rkllm_twisted.blocking import Client
from rkllm_twisted.client_core.images import image_part
from rkllm_twisted.cpu import demo_model
from rkllm_twisted.errors import InvalidParams

TEXT = {"type": "text", "text": "What is it?"}
TAGS = {"start": "<", "end": ">", "content": "."}
SETTINGS = 'kind = "vision"\nfamily = "qwen3"\n[param]\nmax_context_len = 64\n'


def test_a_conversation_about_a_picture(tmp_path: Path) -> None:
    (tmp_path / "m.script").write_text("#!rkllm-script 1\ncontext 64\nrun\necho\nfinish\n")
    (tmp_path / "m.rkllm.toml").write_text(SETTINGS)
    encoder = encoder_script(tmp_path)
    daemon = Daemon(tmp_path, "--vision-library=scripted", f"--model-dir={tmp_path}")
    jpeg = picture(40, 30, form="JPEG")
    content = [image_part(jpeg), {"type": "text", "text": "What is it?"}]
    question = {"role": "user", "content": content}
    try:
        with Client(daemon.path) as client:
            client.call("vision.load", {"path": encoder})
            first = client.chat([question], model="m")
            messages = [question, first.message, {"role": "user", "content": "And?"}]
            second = client.chat(messages, model="m")
    finally:
        daemon.stop(signal.SIGTERM)
    assert first.text == "<image>What is it?"
    assert "User: <image>What is it?" in second.text
    assert second.changes == ["turns_as_text"]


def test_an_encoder_of_another_width_encodes_nothing(tmp_path: Path) -> None:
    """The bundled model's embeddings have 192 numbers; rows of 384 are not two of them."""
    daemon = Daemon(tmp_path, "--vision-library=scripted", f"--model-dir={tmp_path}")
    model = tmp_path / "tiny.gguf"
    model.write_bytes(demo_model().read_bytes())
    question = {"role": "user", "content": [image_part(picture(8, 4)), TEXT]}
    seen: list[Any] = []
    try:
        with Client(daemon.path) as client:
            client.init(model, max_context_len=256)
            for width in (384, 200, 192):
                encoder = encoder_script(tmp_path, f"row_width {width}", name=f"{width}.rknn")
                client.call("vision.load", {"path": encoder, "tags": TAGS})
                try:
                    client.chat([question], max_new_tokens=2)
                except InvalidParams as error:
                    seen.append(error.message)
                seen.append(client.call("server.status")["vision"]["encoded"])
    finally:
        daemon.stop(signal.SIGTERM)
    first, encoded_first, second, encoded_second, encoded_third = seen
    assert "rows have 384 numbers, and the loaded model's embeddings have 192" in first
    assert "rows have 200 numbers, and the loaded model's embeddings have 192" in second
    assert (encoded_first, encoded_second, encoded_third) == (0, 0, 1)
