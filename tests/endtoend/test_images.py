"""From a JPEG to words through a daemon, with a made-up encoder and a model that echoes."""

from __future__ import annotations

import signal
from pathlib import Path

from daemons import Daemon
from encoder_scripts import encoder_script
from pictures import picture

from rkllm_twisted.blocking import Client
from rkllm_twisted.client_core.images import image_part

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
