"""Models by name: the files in the directories and the facts about each."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from gguf_files import gguf_bytes
from model_folders import GGUF, SCRIPT, catalogue, put

from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.abi.prepare import prepare
from rkllm_twisted.abi.release import release_for
from rkllm_twisted.chat.families import InfillMarks, InfillTokens, named
from rkllm_twisted.chat.family_table import FAMILIES
from rkllm_twisted.errors import InvalidParams
from rkllm_twisted.formats import file_kind
from rkllm_twisted.models.catalogue import Catalogue
from rkllm_twisted.models.directories import ModelDirectories
from rkllm_twisted.models.named_model import NamedModel

QWEN2: Any = named("qwen2", FAMILIES)


def names(*roots: Path) -> list[str]:
    return [model.name for model in catalogue(*roots).listing().models]


def only(root: Path) -> NamedModel:
    listing = catalogue(root).listing()
    assert listing.problems == ()
    (model,) = listing.models
    return model


def test_without_a_directory_there_are_no_models_and_the_listing_says_why() -> None:
    listing = catalogue().listing()
    assert listing.models == ()
    assert listing.problems == (
        "No --model-dir is given: models have no names, rkllm.init takes their paths.",
    )


def test_an_empty_directory_has_no_models(tmp_path: Path) -> None:
    listing = catalogue(tmp_path).listing()
    assert (listing.models, listing.problems) == ((), ())


def test_flat_files_and_folders_are_models(tmp_path: Path) -> None:
    put(tmp_path, "flat.gguf", "folder/any.gguf", "two/a.gguf", "two/b.gguf", "e/f/deeper.gguf")
    put(tmp_path, "folder/README.md", "notes.txt", ".hidden.gguf", "got.gguf.part", data="x")
    assert names(tmp_path) == ["flat", "folder", "two/a", "two/b"]


def test_a_script_is_a_model_whatever_its_name(tmp_path: Path) -> None:
    put(tmp_path, "one.script", "two", "three/model.txt", data=SCRIPT)
    assert names(tmp_path) == ["one", "three", "two"]


def test_files_of_one_name_but_for_the_ending_are_called_in_full(tmp_path: Path) -> None:
    put(tmp_path, "qwen.gguf", "other.gguf")
    put(tmp_path, "qwen.script", data=SCRIPT)
    assert names(tmp_path) == ["other", "qwen.gguf", "qwen.script"]


def test_a_model_says_what_its_file_says(tmp_path: Path) -> None:
    path = put(tmp_path, "qwen/m.gguf")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    model = only(tmp_path)
    assert model.path == str(path)
    assert model.identity.size == len(GGUF)
    assert model.identity.modified_ns == 1_700_000_000 * 10**9
    assert model.context == 2048
    assert (model.kind, model.capabilities) == ("chat", ("completion",))
    model.check()


def test_a_model_knows_the_files_beside_it(tmp_path: Path) -> None:
    put(tmp_path, "m/model.gguf")
    put(tmp_path, "m/adapter.gguf", data=gguf_bytes({"general.type": "adapter"}))
    put(tmp_path, "m/tokenizer.json", "m/chat_template.jinja", "m/saved", data="{}")
    put(tmp_path, "m/prompt_cache.bin", data="rkllm-cpu kv 1\n")
    assert only(tmp_path).companions == {
        role: (str(tmp_path / "m" / name),)
        for role, name in {
            "tokenizer": "tokenizer.json",
            "template": "chat_template.jinja",
            "lora": "adapter.gguf",
            "prompt_cache": "prompt_cache.bin",
        }.items()
    }


def test_flat_models_share_no_files_without_a_name(tmp_path: Path) -> None:
    put(tmp_path, "a.gguf", "b.gguf")
    put(tmp_path, "tokenizer.json", "a.chat_template.jinja", data="{}")
    a, b = catalogue(tmp_path).listing().models
    assert a.companions == {"template": (str(tmp_path / "a.chat_template.jinja"),)}
    assert b.companions == {}


def test_a_model_that_is_alone_in_a_directory_has_its_files(tmp_path: Path) -> None:
    put(tmp_path, "a.gguf")
    put(tmp_path, "rkllm.toml", data='kind = "embedding"\npooling = "last"')
    model = only(tmp_path)
    assert (model.kind, model.pooling, model.capabilities) == ("embedding", "last", ("embedding",))


@pytest.mark.parametrize(
    ("pooling_type", "kind", "pooling"),
    [(0, "chat", None), (1, "embedding", "mean"), (3, "embedding", "last"), (4, "rerank", None)],
)
def test_a_gguf_says_how_it_pools(
    tmp_path: Path, pooling_type: int, kind: str, pooling: str | None
) -> None:
    header = {"general.architecture": "bert", "bert.pooling_type": pooling_type}
    put(tmp_path, "m.gguf", data=gguf_bytes(header))
    model = only(tmp_path)
    assert (model.kind, model.pooling) == (kind, pooling)


def test_an_encoder_beside_it_makes_a_vision_model(tmp_path: Path) -> None:
    put(tmp_path, "m/m.gguf", "m/vision.rknn")
    model = only(tmp_path)
    assert (model.kind, model.capabilities) == ("vision", ("completion", "vision"))


TEMPLATE = "{% if tools %}{{ tools }}{% endif %}{% if enable_thinking %}<think>{% endif %}"


@pytest.mark.parametrize(
    "files",
    [
        {"m/chat_template.jinja": TEMPLATE},
        {"m/tokenizer_config.json": json.dumps({"chat_template": TEMPLATE})},
        {
            "m/tokenizer_config.json": json.dumps(
                {
                    "chat_template": [
                        {"name": "tool_use", "template": "x"},
                        {"name": "default", "template": TEMPLATE},
                    ]
                }
            )
        },
        {
            "m/own.jinja": TEMPLATE,
            "m/chat_template.jinja": "x",
            "m/rkllm.toml": "template='own.jinja'",
        },
        {"m/chat_template.jinja": TEMPLATE, "m/tokenizer_config.json": '{"chat_template": "x"}'},
        {"m/m.gguf": gguf_bytes({"tokenizer.chat_template": TEMPLATE})},
        {
            "m/tokenizer_config.json": "{}",
            "m/m.gguf": gguf_bytes({"tokenizer.chat_template": TEMPLATE}),
        },
    ],
)
def test_the_first_template_that_there_is_shows_capabilities(
    tmp_path: Path, files: dict[str, str | bytes]
) -> None:
    put(tmp_path, "m/m.gguf")
    for name, data in files.items():
        put(tmp_path, name, data=data)
    model = only(tmp_path)
    assert model.template == TEMPLATE
    assert model.capabilities == ("completion", "tools", "thinking")


def test_settings_go_before_what_the_files_show(tmp_path: Path) -> None:
    put(tmp_path, "m/m.gguf", "m/e.rknn")
    put(tmp_path, "m/chat_template.jinja", data=TEMPLATE)
    put(
        tmp_path,
        "m/rkllm.toml",
        data='kind = "chat"\ncapabilities = ["insert"]\n[param]\nmax_context_len = 512\n',
    )
    model = only(tmp_path)
    assert (model.kind, model.context) == ("chat", 512)
    assert model.capabilities == ("completion", "insert")


FIM_IDS = {f"tokenizer.ggml.fim_{part}_token_id": at for at, part in enumerate(("pre", "suf"), 5)}
OLD_IDS = {f"tokenizer.ggml.{part}_token_id": 1 for part in ("prefix", "suffix", "middle")}
OWN_MARKS = "[infill]\nprefix = '<p>'\nsuffix = '<s>'\n"


@pytest.mark.parametrize(
    ("name", "header", "settings", "infill"),
    [
        ("m", {}, "", None),
        ("m", FIM_IDS, "", None),
        ("m", {**FIM_IDS, "tokenizer.ggml.fim_mid_token_id": 7}, "", InfillTokens(5, 6, 7)),
        ("m", OLD_IDS, "", InfillTokens(1, 1, 1)),
        ("m", OLD_IDS, OWN_MARKS, InfillMarks("<p>", "<s>")),
        ("Qwen2.5-0.5B", {}, "", None),
        ("Qwen2.5-Coder-0.5B", {}, "", QWEN2.infill),
        ("m", {"general.name": "Qwen2.5 Coder 0.5B"}, "", QWEN2.infill),
    ],
)
def test_the_ability_to_fill_a_gap_is_that_of_text_complete(
    tmp_path: Path, name: str, header: Any, settings: str, infill: object
) -> None:
    put(tmp_path, f"{name}/m.gguf", data=gguf_bytes(header))
    put(tmp_path, f"{name}/rkllm.toml", data=settings)
    assert (only(tmp_path).infill, only(tmp_path).capabilities) == (infill, ("completion",))
    put(tmp_path, f"{name}/tokenizer.json", data="{}")
    assert only(tmp_path).capabilities == ("completion", *(("insert",) if infill else ()))


@pytest.mark.parametrize(
    ("name", "header", "family"),
    [
        ("Qwen2.5-0.5B.gguf", {}, "qwen2"),
        ("x.gguf", {"general.name": "SmolLM2 135M"}, "chatml"),
        ("x.gguf", {}, None),
    ],
)
def test_the_family_is_known_by_name(
    tmp_path: Path, name: str, header: dict[str, object], family: str | None
) -> None:
    put(tmp_path, name, data=gguf_bytes({"general.architecture": "llama", **header}))
    assert only(tmp_path).family == family


def test_the_settings_load_the_model(tmp_path: Path) -> None:
    path = put(tmp_path, "m.gguf")
    put(tmp_path, "rkllm.toml", data="base_domain_id = 1\n[param]\ntop_k = 3\n")
    release = release_for("1.3.0")
    param = only(tmp_path).init_param(release)
    assert param == {"model_path": str(path), "top_k": 3, "extend_param": {"base_domain_id": 1}}
    prepare(layout_of(release), bytes(4096), "rkllm_init", {"param": param})


def test_image_tags_are_given_at_init_where_the_release_wants_them_there(tmp_path: Path) -> None:
    put(tmp_path, "m.gguf")
    put(tmp_path, "rkllm.toml", data="[image]\nstart = '<a>'\ncontent = '<b>'\nend = '<c>'\n")
    model = only(tmp_path)
    assert "img_start" not in model.init_param(release_for("1.3.0"))
    param = model.init_param(release_for("1.2.3"))
    assert (param["img_start"], param["img_content"], param["img_end"]) == ("<a>", "<b>", "<c>")


UNUSABLE = {
    "empty.gguf": (b"", "is empty; download it again"),
    "lfs.rkllm": (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    "page.rkllm": (b"<!DOCTYPE html>", "is a web page"),
    "cut.gguf": (GGUF[:-1], "was cut short at"),
    "part.gguf": (gguf_bytes({"split.count": 3}), "is one part of a GGUF model"),
    "for-the-npu.rkllm": (
        b"\x01" * 900 + b"rkllm-toolkit version: 1.2.3",
        "is an RKLLM model, which",
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_model_that_cannot_be_loaded_is_listed_and_says_why(tmp_path: Path, name: str) -> None:
    data, why = UNUSABLE[name]
    path = put(tmp_path, name, data=data)
    model = only(tmp_path)
    (problem,) = model.problems
    assert problem.startswith(f"{path} ")
    assert why in problem
    with pytest.raises(InvalidParams) as caught:
        model.check()
    assert caught.value.data == {"parameter": "model", "model": model.name}


def test_the_vendors_library_loads_rkllm_and_what_is_not_known_but_no_gguf(tmp_path: Path) -> None:
    put(tmp_path, "a.gguf")
    put(tmp_path, "b.rkllm", data=bytes(range(1, 255)) * 9)
    put(tmp_path, "c.rkllm", data=b"\x01" * 900 + b"rkllm-toolkit version: 1.2.3")
    layout = layout_of(release_for("1.3.0"))
    models = Catalogue(ModelDirectories([str(tmp_path)]), layout).listing().models
    assert [bool(model.problems) for model in models] == [True, False, False]


def test_errors_beside_a_model_are_its_problems_all_at_once(tmp_path: Path) -> None:
    put(tmp_path, "m/m.gguf")
    toml = put(tmp_path, "m/rkllm.toml", data="kinds = 1\n[param]\ntop_k = 'x'\n")
    template = put(tmp_path, "m/chat_template.jinja", data=b"\xff\xfe")
    config = put(tmp_path, "m/tokenizer_config.json", data="[]")
    model = only(tmp_path)
    with pytest.raises(InvalidParams) as caught:
        model.check()
    assert caught.value.message == (
        f"{toml}: kinds: is no key of rkllm.toml; perhaps kind is meant."
        f" {toml}: param.top_k: must be a whole number (int32_t), not a string."
        f" {template} is not UTF-8. {config} is not a JSON object."
    )


def test_an_adapter_that_the_settings_name_must_be_there(tmp_path: Path) -> None:
    put(tmp_path, "m/m.gguf")
    toml = put(tmp_path, "m/rkllm.toml", data="adapters.a.file = 'gone-lora.gguf'")
    assert only(tmp_path).problems == (
        f"{toml}: adapters.a.file: gone-lora.gguf does not lie beside the model.",
    )


def test_the_adapters_of_the_settings_are_those_beside_the_model(tmp_path: Path) -> None:
    put(tmp_path, "m/m.gguf", "m/a-lora.gguf")
    put(tmp_path, "m/rkllm.toml", data="adapters.a = {file = 'a-lora.gguf', scale = 0.5}")
    (adapter,) = only(tmp_path).adapters.values()
    assert adapter == {
        "lora_adapter_path": str(tmp_path / "m/a-lora.gguf"),
        "lora_adapter_name": "a",
        "scale": 0.5,
    }


def test_a_template_that_the_settings_name_must_be_there(tmp_path: Path) -> None:
    put(tmp_path, "m/m.gguf")
    toml = put(tmp_path, "m/rkllm.toml", data="template = 'gone.jinja'")
    assert only(tmp_path).problems == (
        f"{toml}: template: gone.jinja does not lie beside the model.",
    )


def test_a_link_out_of_the_directory_is_told_and_left_out(tmp_path: Path) -> None:
    outside = put(tmp_path, "outside/secret.gguf")
    root = tmp_path / "models"
    put(root, "a.gguf")
    (root / "link.gguf").symlink_to(outside)
    (root / "folder").symlink_to(outside.parent)
    (root / "rkllm.toml").symlink_to(outside)
    listing = catalogue(root).listing()
    assert [model.name for model in listing.models] == ["a"]
    assert len(listing.problems) == 3
    assert all("link" in problem for problem in listing.problems)


def test_a_file_that_may_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.gguf")
    models = catalogue(tmp_path)

    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ModelDirectories, "open", fail)
    listing = models.listing()
    assert listing.models == ()
    assert listing.problems == (f"{tmp_path}/a.gguf cannot be read: Permission denied.",)


def test_a_name_that_no_request_could_have_is_told(tmp_path: Path) -> None:
    put(tmp_path, "a\nb.gguf", os.fsdecode(b"\xff.gguf"), "ok.gguf")
    listing = catalogue(tmp_path).listing()
    assert [model.name for model in listing.models] == ["ok"]
    assert len(listing.problems) == 2
    assert f"{tmp_path}/\\udcff.gguf has a name" in "".join(listing.problems)
    assert f"{tmp_path}/a\\nb.gguf has a name" in "".join(listing.problems)


def test_the_first_of_two_models_of_one_name_goes_and_the_other_is_told(tmp_path: Path) -> None:
    put(tmp_path, "one/qwen.gguf", "two/qwen/x.gguf", "two/qwen.gguf")
    listing = catalogue(tmp_path / "one", tmp_path / "two").listing()
    (model,) = listing.models
    assert model.path == f"{tmp_path}/one/qwen.gguf"
    assert listing.problems == (
        f"{tmp_path}/two/qwen/x.gguf is left out: {model.path} has the same name and goes first.",
        f"{tmp_path}/two/qwen.gguf is left out: {model.path} has the same name and goes first.",
    )


def test_a_model_is_found_by_name_alias_and_other_letters(tmp_path: Path) -> None:
    put(tmp_path, "Qwen/m.gguf", "other/m.gguf")
    put(tmp_path, "Qwen/rkllm.toml", data='aliases = ["gpt-4o"]')
    models = catalogue(tmp_path)
    assert {models.find(name).name for name in ("Qwen", "qwen", "gpt-4o", "GPT-4o")} == {"Qwen"}
    with pytest.raises(InvalidParams, match=r"There is no model 'qwem'; perhaps Qwen is meant\."):
        models.find("qwem")


def test_aliases_that_clash_are_told(tmp_path: Path) -> None:
    put(tmp_path, "a/m.gguf", "b/m.gguf", "c/m.gguf")
    put(tmp_path, "a/rkllm.toml", data='aliases = ["c", "x", "a"]')
    put(tmp_path, "b/rkllm.toml", data='aliases = ["x"]')
    models = catalogue(tmp_path)
    assert models.listing().problems == (
        "The alias c of a is the name of another model.",
        "The alias x is claimed by a, b, and means none.",
    )
    assert models.find("c").name == "c"
    with pytest.raises(InvalidParams, match="'x' may be a or b"):
        models.find("x")


def test_a_model_that_comes_changes_or_goes_is_seen_at_the_next_question(tmp_path: Path) -> None:
    models = catalogue(tmp_path)
    path = put(tmp_path, "m.gguf")
    assert models.find("m").context == 2048
    other = {"general.architecture": "llama", "llama.context_length": 99}
    put(tmp_path, "m.gguf", data=gguf_bytes(other))
    assert models.find("m").context == 99
    path.unlink()
    with pytest.raises(InvalidParams, match="no model lies in --model-dir"):
        models.find("m")


def test_a_header_is_read_once_while_the_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "m.gguf")
    models = catalogue(tmp_path)
    models.listing()
    monkeypatch.setattr(file_kind.gguf, "read_gguf", lambda *_: pytest.fail("read again"))
    assert models.find("m").context == 2048


def test_the_digest_is_made_when_it_is_asked_for(tmp_path: Path) -> None:
    put(tmp_path, "m.gguf")
    models = catalogue(tmp_path)
    model = models.find("m")
    assert models.known_digest(model) is None
    assert models.digest(model) == hashlib.sha256(GGUF).hexdigest()
    assert models.known_digest(models.find("m")) == models.digest(model)


def test_a_model_that_is_gone_has_no_digest(tmp_path: Path) -> None:
    path = put(tmp_path, "m.gguf")
    models = catalogue(tmp_path)
    model = models.find("m")
    path.unlink()
    with pytest.raises(InvalidParams, match=f"{path} cannot be read: No such file"):
        models.digest(model)


def test_many_models_hold_no_files_open(tmp_path: Path) -> None:
    put(tmp_path, *(f"m{n}/m.gguf" for n in range(50)))
    models = catalogue(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    listing = models.listing()
    assert len(listing.models) == 50
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("files", "skipped", "ends"),
    [
        ({}, None, ()),
        ({"chat_template.jinja": "{{ tools }}<tool_call>"}, None, ()),
        ({"chat_template.jinja": "{{ tools }}[TOOL_CALLS]"}, False, ("</s>", 7)),
        ({"chat_template.jinja": "[TOOL_CALLS]", "tokenizer.json": "{}"}, None, ()),
        (
            {
                "chat_template.jinja": "[TOOL_CALLS]",
                "rkllm.toml": "end_tokens = [9]\nparam.skip_special_token = true",
            },
            True,
            (9, "</s>", 7),
        ),
    ],
)
def test_a_model_whose_calls_begin_with_special_tokens_is_loaded_with_their_text(
    tmp_path: Path, files: dict[str, str], skipped: bool | None, ends: tuple[int | str, ...]
) -> None:
    metadata = {"general.architecture": "llama", "tokenizer.ggml.eos_token_id": 7}
    put(tmp_path, "mistral/m.gguf", data=gguf_bytes(metadata))
    for name, text in files.items():
        put(tmp_path, f"mistral/{name}", data=text)
    model = only(tmp_path)
    assert model.init_param(release_for("1.3.0")).get("skip_special_token") is skipped
    assert model.end_tokens == ends
