"""What ``docs/vision.md`` shows for each family of models."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from rkllm_twisted.chat.families import family_of
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.daemon.options import Options
from rkllm_twisted.encoders.requests import load_of_params
from rkllm_twisted.methods.vision_load import Params
from rkllm_twisted.models.encoder_fit import family_of_encoder, marks_with, reason_against_family
from rkllm_twisted.vision_interfaces import EncoderLoad

PAGE = (Path(__file__).parents[2] / "docs/vision.md").read_text()
#: The family's title, the options.
COMMANDS = re.findall(r"    # (.+)\n    twistd -n rkllm (--encoder .+)\n", PAGE)
#: The names in the table, by row.
ROWS = re.findall(r"^\| ([^|]+) \| `([a-z0-9-]+)`", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("title", "line"), COMMANDS, ids=[title for title, _ in COMMANDS])
def test_a_familys_command_needs_no_more_words(title: str, line: str) -> None:
    """Both files are of one family, whose texts are known; it is the one of the table."""
    options = Options()
    options.parseOptions(shlex.split(line))
    asked = EncoderLoad(options["encoder"])
    model, encoder = family_of(options["model"], FAMILIES), family_of_encoder(asked)
    assert model is encoder is not None
    assert reason_against_family(asked, model.name) is None
    assert marks_with(asked, model.image) == model.image
    models = title.partition(":")[0].removesuffix(" 2.6")
    assert [family for names, family in ROWS if models in names] == [model.name]


def test_each_family_of_the_table_has_a_command() -> None:
    shown = {family_of(title.replace(" ", "-"), FAMILIES) for title, _ in COMMANDS}
    reads = {family.name for family in FAMILIES if family.image is not None}
    assert {family.name for family in shown if family} == reads - {"internlm2"}
    assert {family for _, family in ROWS} == reads - {"internlm2"}


@pytest.mark.parametrize("sent", re.findall(r"rkllm call vision\.load\s+'(\{.*?\})'", PAGE, re.S))
def test_a_load_that_is_shown_is_one(sent: str) -> None:
    given: dict[str, Any] = json.loads(sent)
    asked = load_of_params(Params(**given))
    assert marks_with(asked, None) is not None
