"""Engines are found as plugins."""

from __future__ import annotations

import builtins
import importlib.util
from typing import Any

import pytest
from made_up_constraint import MadeUp
from zope.interface.verify import verifyObject

from rkllm_twisted.chat.token_table import byte_table
from rkllm_twisted.constraint_interfaces import IConstraint, IConstraintEngine
from rkllm_twisted.errors import InternalError
from rkllm_twisted.structured.engines import find_engine
from rkllm_twisted.structured.form import KINDS, Form
from rkllm_twisted.structured.llguidance_engine import (
    KEPT_FORMS,
    LLGuidance,
    llguidance_engine,
)


@pytest.mark.parametrize("kind", KINDS)
def test_llguidance_is_installed_as_a_plugin(kind: str) -> None:
    assert find_engine(kind).name == "llguidance"


def test_an_engine_of_another_package_goes_first_for_what_it_can_do() -> None:
    both = [llguidance_engine, MadeUp(), object()]
    assert find_engine("choices", both).name == "made up"
    assert find_engine("schema", both).name == "llguidance"


def test_an_engine_whose_package_is_missing_is_left_out() -> None:
    assert find_engine("choices", [MadeUp("no"), llguidance_engine]).name == "llguidance"
    with pytest.raises(InternalError, match="^no$"):
        find_engine("choices", [MadeUp("no")])
    with pytest.raises(InternalError, match=r"pip install 'rkllm-twisted\[structured\]'"):
        find_engine("schema", [MadeUp()])


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert LLGuidance().missing() == (
        "For answers in a given form, the package llguidance is needed:"
        " pip install 'rkllm-twisted[structured]' installs it."
    )


def test_nothing_of_the_extra_is_imported_to_find_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def importing(name: str, *args: Any) -> Any:
        assert name.partition(".")[0] not in ("llguidance", "numpy")
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", importing)
    find_engine("schema")


CHOICES = Form("choices", '["abc", "abd", "ab"]', "choices")


@pytest.mark.parametrize("engine", [llguidance_engine, MadeUp()], ids=lambda one: one.name)
def test_both_engines_keep_the_contract(engine: Any) -> None:
    verifyObject(IConstraintEngine, engine)
    table = byte_table()
    constraint = engine.constrain(engine.tokens(table), CHOICES)
    verifyObject(IConstraint, constraint)
    mask = bytearray(b"\xff" * 36)

    def allowed() -> set[int]:
        constraint.fill(mask)
        return {one for one in range(8 * len(mask)) if mask[one // 8] >> one % 8 & 1}

    assert allowed() == {ord("a")}
    assert constraint.consume([*b"ax"]) == 1
    assert constraint.consume([ord("z")]) == 0
    assert (constraint.accepting, constraint.stopped) == (False, False)
    assert constraint.consume([ord("b")]) == 1
    assert allowed() == {ord("c"), ord("d"), 256}
    assert (constraint.accepting, constraint.stopped) == (True, False)
    assert [*constraint.forced()] == []
    assert constraint.consume([ord("d")]) == 1
    assert (constraint.accepting, constraint.stopped) == (True, True)


def test_the_tokens_without_a_choice_are_forced() -> None:
    for engine in (llguidance_engine, MadeUp()):
        constraint = engine.constrain(
            engine.tokens(byte_table()), Form("choices", '["abc", "xyz"]', "choices")
        )
        constraint.consume([ord("a")])
        assert [*constraint.forced()] == [*b"bc"]


def test_an_answer_leaves_the_compiled_form_as_it_was() -> None:
    tokens = llguidance_engine.tokens(byte_table())
    first, second = (llguidance_engine.constrain(tokens, CHOICES) for _ in range(2))
    assert first.consume([*b"abd"]) == 3
    assert second.consume([*b"abc"]) == 3
    assert llguidance_engine.constrain(tokens, CHOICES).consume([*b"ab"]) == 2


def test_the_forms_used_last_are_kept() -> None:
    tokens = llguidance_engine.tokens(byte_table())
    for number in range(2 * KEPT_FORMS):
        llguidance_engine.constrain(tokens, Form("regex", f"a{{{number + 1}}}", "regex"))
    assert len(tokens.kept) == KEPT_FORMS
