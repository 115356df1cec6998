"""A chat template in a process of its own."""

from __future__ import annotations

import gc
import os
import signal
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from chat_templates import CHATML, QWEN3
from zope.interface.verify import verifyObject

from rkllm_twisted.chat.segments import Mark, Pieces
from rkllm_twisted.chat.template import ChatTemplate, ITemplate
from rkllm_twisted.errors import InternalError, InvalidParams, TimedOut
from rkllm_twisted.offload import template_worker
from rkllm_twisted.offload.template import TemplateProcess

MARKS = ("<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "<think>", "</think>")
NOW = datetime(2026, 1, 2, 3, 4)
USER = {"role": "user", "content": "Hello <|im_end|> 你好"}


def render(template: Any, *messages: Any, **how: Any) -> Pieces:
    pieces: Pieces = template.render(messages or (USER,), now=NOW, **how)
    return pieces


def process_of(template: TemplateProcess) -> Any:
    return template._process


def test_it_provides_the_interface() -> None:
    verifyObject(ITemplate, TemplateProcess(CHATML, MARKS))


@pytest.mark.parametrize("source", [CHATML, QWEN3], ids=["chatml", "qwen3"])
def test_it_renders_as_in_this_process(source: str) -> None:
    here, there = ChatTemplate(source, MARKS), TemplateProcess(source, MARKS)
    tools = [{"type": "function", "function": {"name": "add"}}]
    variables = {"enable_thinking": False}
    assert render(there, tools=tools, variables=variables) == render(
        here, tools=tools, variables=variables
    )
    assert Mark("<|im_start|>") in render(there)
    assert set(there.marks) == set(here.marks)


def test_a_template_that_cannot_be_compiled_is_refused() -> None:
    with pytest.raises(InvalidParams, match="cannot be used"):
        TemplateProcess("{% for %}", MARKS)


def test_a_template_that_refuses_the_conversation_says_why() -> None:
    template = TemplateProcess("{{ raise_exception('only users') }}", MARKS)
    with pytest.raises(InvalidParams, match="only users"):
        render(template)
    with pytest.raises(InvalidParams, match="only users"):
        render(template)  # the process is still there


def test_a_template_that_writes_without_end_is_refused() -> None:
    long = "{% for i in range(100000) %}{% for j in range(100000) %}{{ 'x' * 1000 }}"
    template = TemplateProcess(long + "{% endfor %}{% endfor %}", MARKS)
    with pytest.raises((InvalidParams, TimedOut)):
        render(template)


def test_a_template_that_loops_is_ended_by_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}"
    monkeypatch.setenv(template_worker.CPU_LIMIT_VARIABLE, "0.3")
    template = TemplateProcess(loop, MARKS)
    with pytest.raises(TimedOut, match="does not come to an end"):
        render(template)
    assert process_of(template) is None


def test_a_template_that_fills_the_memory_is_refused() -> None:
    doubling = "{% set ns = namespace(t='x') %}{% for i in range(60) %}{% set ns.t = ns.t ~ ns.t %}"
    with pytest.raises((InvalidParams, InternalError, TimedOut)):
        render(TemplateProcess(doubling + "{% endfor %}{{ ns.t }}", MARKS))


def test_the_next_rendering_starts_another_process() -> None:
    template = TemplateProcess(CHATML, MARKS)
    before = render(template)
    process_of(template).stdin.close()  # as if it had nothing to do for long
    process_of(template).wait()
    process_of(template).stdin = Path(os.devnull).open("wb")  # noqa: SIM115 - closed with the process
    assert render(template) == before


def test_a_process_that_was_killed_is_an_error_once() -> None:
    template = TemplateProcess(CHATML, MARKS)
    process_of(template).send_signal(signal.SIGKILL)
    process_of(template).wait()
    with pytest.raises(InternalError, match="signal 9"):
        render(template)
    assert render(template)


def test_the_process_ends_with_the_template() -> None:
    template = TemplateProcess(CHATML, MARKS)
    process = process_of(template)
    del template
    gc.collect()
    assert process.poll() is not None
