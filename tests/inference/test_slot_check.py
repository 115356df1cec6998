"""A runtime that reads the marks of a template as letters is noticed, once for each load."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from echo_runtime import EchoRuntime
from inference_rig import Rig, furnish

from rkllm_twisted.errors import RuntimeRefused

PLAIN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
HELLO = [{"role": "user", "content": "Hello zq1q"}]


class VendorRuntime(EchoRuntime):
    """A runtime of which it is not known how it reads slots. It counts letters.

    :ivar reads_marks: True if a mark in a slot is one token.
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.version = attrs.evolve(self.version, backend="npu")
        self.reads_marks = True

    def _take_in(self, given: Mapping[str, Any], restored: int) -> None:
        super()._take_in(given, restored)
        pattern = r"<\|\w+\|>|zq\d+q|\S" if self.reads_marks else r"zq\d+q|\S"
        self.cache[:] = [one for word in self.cache for one in re.findall(pattern, str(word))]


@pytest.fixture
def runtime() -> VendorRuntime:
    return VendorRuntime()


def rig_of(tmp_path: Path, runtime: VendorRuntime, tier: str = "template", **files: str) -> Rig:
    return Rig(furnish(tmp_path, tier, **files), tier, runtime=runtime)


def runs(runtime: VendorRuntime) -> int:
    return runtime.performed.count("rkllm_run")


def test_a_runtime_that_reads_marks_is_asked_once(tmp_path: Path, runtime: VendorRuntime) -> None:
    rig = rig_of(tmp_path, runtime)
    assert rig.ask(HELLO).text == "saw zq1q"
    assert runs(runtime) == 3
    rig.ask([{"role": "user", "content": "Another zq2q"}])
    assert runs(runtime) == 4


def test_chat_is_refused_if_marks_are_letters(tmp_path: Path, runtime: VendorRuntime) -> None:
    runtime.reads_marks = False
    rig = rig_of(tmp_path, runtime)
    for made in (2, 2):
        error = rig.ask(HELLO).error
        assert isinstance(error, RuntimeRefused)
        assert "tokenizer.json" in str(error)
        assert runs(runtime) == made


def test_a_model_that_is_loaded_again_is_asked_again(
    tmp_path: Path, runtime: VendorRuntime
) -> None:
    runtime.reads_marks = False
    rig = rig_of(tmp_path, runtime)
    assert rig.ask(HELLO).error is not None
    runtime.reads_marks = True
    rig.load(tmp_path / "m" / "m.script")
    assert rig.ask(HELLO).text == "saw zq1q"


def test_no_mark_of_the_check_stays_in_the_cache(tmp_path: Path, runtime: VendorRuntime) -> None:
    rig = rig_of(tmp_path, runtime)
    rig.ask(HELLO)
    assert runtime.text.count("<|im_start|>") == 3  # of system, user and assistant


def test_a_template_without_known_marks_is_not_checked(
    tmp_path: Path, runtime: VendorRuntime
) -> None:
    rig = rig_of(tmp_path, runtime, template=PLAIN)
    rig.ask(HELLO)
    assert runs(runtime) == 1
