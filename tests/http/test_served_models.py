"""The list of models of several daemons, and the one that a name means."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from rkllm_twisted.http.served_models import ServedModel, find_model, models_of, not_found


def model(name: str, daemon: int = 0, loaded: bool = False, *aliases: str) -> ServedModel:
    return ServedModel(name, daemon, name, aliases, loaded=loaded)


SHELF = [
    model("Qwen", 0),
    model("qwen", 0, False, "small"),
    model("both", 0),
    model("both", 1, True),
    model("phi", 1, False, "user/phi:latest", "Small"),
]


@pytest.mark.parametrize(
    ("wanted", "name", "daemon"),
    [
        ("Qwen", "Qwen", 0),
        ("qwen", "qwen", 0),
        ("both", "both", 1),  # where it is loaded
        ("small", "qwen", 0),
        ("Small", "phi", 1),
        ("user/phi:latest", "phi", 1),
        ("PHI", "phi", 1),
        (None, "both", 1),
    ],
)
def test_a_name_means_a_model(wanted: str | None, name: str, daemon: int) -> None:
    found = find_model(SHELF, wanted)
    assert found is not None
    assert (found.name, found.daemon) == (name, daemon)


def test_a_daemon_that_can_load_a_file_goes_before_one_that_only_lists_it() -> None:
    """A GGUF file in a directory that a daemon for the NPU and one for the processor share."""
    listed_only = attrs.evolve(model("gemma", 0), problems=["A GGUF file: not for the NPU."])
    found = find_model([listed_only, model("gemma", 1)], "gemma")
    assert found is not None
    assert found.daemon == 1


def test_another_name_means_none_and_the_error_names_those_that_there_are() -> None:
    assert find_model(SHELF, "llama") is None
    assert "Qwen, both, phi, qwen" in str(not_found(SHELF, "llama"))
    assert "--model-dir" in str(not_found([], "llama"))


def listed(**further: Any) -> dict[str, Any]:
    fields = {
        "name": "m",
        "aliases": [],
        "kind": "chat",
        "capabilities": [],
        "context": 512,
        "size": 1,
        "modified": "2026-01-02T03:04:05Z",
        "digest": None,
        "loaded": False,
        "problems": [],
    }
    return {**fields, **further}


def test_a_model_that_was_loaded_by_its_path_has_the_name_of_its_file() -> None:
    status = {"model_path": "/models/mine.v1.rkllm", "max_context_len": 99}
    (found,) = models_of(3, {"models": []}, status)
    assert (found.name, found.target, found.daemon, found.context) == ("mine.v1", None, 3, 99)
    assert find_model([found], "mine.v1.rkllm") is found


@pytest.mark.parametrize(
    ("path", "encoder", "sees"),
    [
        ("/models/qwen2-vl.rkllm", {}, True),
        ("/models/qwen2-vl.rkllm", {"family": "gemma"}, False),
        ("/models/mine.rkllm", {}, False),
        ("/models/mine.rkllm", {"family": "chatml"}, False),
        ("/models/mine.rkllm", {"family": "gemma"}, True),
        ("/models/mine.rkllm", {"tags": {"start": "", "content": "c", "end": ""}}, True),
        ("/models/qwen2-vl.rkllm", None, False),
        ("/models/qwen2-vl.rkllm", {"path": "/models/qwen3-vl_vision_rk3588.rknn"}, False),
        ("/models/mine.rkllm", {"path": "/models/qwen3-vl_vision_rk3588.rknn"}, True),
        ("/models/qwen2-vl.rkllm", {"outputs": 4}, False),
        ("/models/qwen3-vl.rkllm", {"outputs": 4}, True),
    ],
)
def test_a_model_without_a_name_reads_images_if_an_encoder_fits(
    path: str, encoder: dict[str, Any] | None, sees: bool
) -> None:
    whole = (
        None
        if encoder is None
        else {"path": "/e.rknn", "family": None, "tags": None, "outputs": 1, **encoder}
    )
    status = {"model_path": path, "max_context_len": 99, "vision": {"encoder": whole}}
    (found,) = models_of(0, {"models": []}, status)
    assert found.raw.get("capabilities", []) == (["completion", "vision"] if sees else [])


def test_a_model_of_the_directories_is_there_once_if_it_is_loaded() -> None:
    status = {"model_path": "/models/m.rkllm", "max_context_len": 99}
    (found,) = models_of(0, {"models": [listed(loaded=True)]}, status)
    assert found.target == "m"


def test_the_time_of_a_model_is_that_of_its_file() -> None:
    (found,) = models_of(0, {"models": [listed()]}, {"model_path": None})
    assert found.created == 1767323045
