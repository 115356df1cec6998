"""Without jinja2 and tokenizers, the lowest tier and the families known by name work."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
sys.modules["jinja2"] = sys.modules["tokenizers"] = None
from datetime import datetime
from rkllm_twisted.chat.compose import compose
from rkllm_twisted.chat.families import family_of
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.chat.messages import say
from rkllm_twisted.chat.model import chat_model
from rkllm_twisted.chat.parsing import AnswerParser
from rkllm_twisted.chat.plan import plan
from rkllm_twisted.chat.prompts import ChatRequest
for name in ("unknown", "Qwen3-0.6B"):
    model = chat_model("m", 4096, family=family_of(name, FAMILIES))
    prompt = compose(model, ChatRequest((say("user", "Hi"),)), datetime(2026, 1, 2))
    print(plan(model, prompt, None).tier.value)
assert "twisted" not in sys.modules
"""


def test_tiers_without_a_template_need_no_extra() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert (done.stderr, done.stdout) == ("", "runtime\ntemplate\n")
