"""chat.complete with images: rows of a vision encoder, made once, in the turn of the run."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import attrs
import pytest
from chat_templates import CHATML
from echo_runtime import secrets_in
from inference_rig import Rig, furnish, user
from pictures import picture

from rkllm_twisted.errors import InvalidParams, NotAllowed, RPCError, RuntimeRefused
from rkllm_twisted.inference import pictures as made
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.testing import FakeVision, fake_encoder
from rkllm_twisted.vision.pixels import Fit, Preparation, Resample, prepared
from rkllm_twisted.vision_interfaces import EncoderLoad, ImageTags

RED, BLUE = picture(8, 4, (255, 0, 0)), picture(8, 4, (0, 0, 255))
ONE, TWO = "zq1q", "zq2q"
SIZE = 28 * 28 * 3


@pytest.fixture(autouse=True)
def decodes_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode in this process: tests/offload tests the other one."""
    monkeypatch.setattr(made, "pixels_of", prepared)


def part(data: bytes) -> dict[str, Any]:
    url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def ask_about(*shown: bytes, text: str = ONE) -> dict[str, Any]:
    parts = [*map(part, shown), {"type": "text", "text": text}]
    return {"role": "user", "content": parts}


def facts(**asked: Any) -> Any:
    return fake_encoder(EncoderLoad("/models/a.rknn", **{"family": "qwen3", **asked}))


def made_rig(
    path: Path, vision: Any, tier: str = "template", files: Files | None = None, **how: Any
) -> Rig:
    rig = Rig(path, tier, **how)
    rig.turns.pictures = made.Pictures(rig.npu.release, vision, files)
    return rig


@pytest.fixture(params=["tokens", "template", "runtime"])
def tier(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def vision() -> FakeVision:
    return FakeVision(facts())


@pytest.fixture
def rig(tier: str, tmp_path: Path, vision: FakeVision) -> Rig:
    return made_rig(furnish(tmp_path, tier), vision, tier)


def inputs(rig: Rig) -> list[dict[str, Any]]:
    return [{**given, **given["image"]} for given in rig.runtime.multimodal]


def test_the_rows_of_an_image_go_with_the_prompt(rig: Rig, vision: FakeVision) -> None:
    asked = rig.ask([ask_about(RED)])
    [given] = inputs(rig)
    assert secrets_in(asked.text) == {ONE}
    assert given["prompt"] == f"<image>{ONE}"
    assert (given["n_image"], given["n_image_tokens"]) == (1, 4)
    assert given["image_embed"].shape == (4, 8)
    assert (given["image_width"], given["image_height"]) == (28, 28)
    assert vision.encoded == [prepared(RED, Preparation(28, 28))]


def test_two_images_go_in_order(rig: Rig) -> None:
    rig.ask([ask_about(RED, BLUE)])
    rig.ask([ask_about(BLUE)])
    rig.ask([ask_about(RED)])
    both, blue, red = inputs(rig)
    assert both["prompt"] == f"<image><image>{ONE}"
    assert (both["n_image"], both["image_embed"].shape) == (2, (8, 8))
    assert both["image_embed"].data == red["image_embed"].data + blue["image_embed"].data


def test_an_image_is_encoded_once(rig: Rig, vision: FakeVision) -> None:
    first = rig.ask([ask_about(RED)])
    rig.ask([ask_about(RED), first.result["message"], user(TWO)])
    rig.ask([ask_about(RED, RED)])
    assert len(vision.encoded) == 1
    assert [given["n_image"] for given in inputs(rig)] == [1, 1, 2]


def test_other_cores_of_the_npu_encode_it_anew(tmp_path: Path) -> None:
    """Some encoders give other rows on three cores (rknn-toolkit2 #228)."""
    vision = FakeVision(facts())
    rig = made_rig(furnish(tmp_path, "template"), vision)
    rig.ask([ask_about(RED)])
    vision.encoder = facts(cores="0")
    rig.ask([ask_about(RED)])
    assert len(vision.encoded) == 2


def test_a_conversation_that_goes_on_is_read_whole(rig: Rig) -> None:
    first = rig.ask([ask_about(RED)])
    second = rig.ask([ask_about(RED), first.result["message"], user(TWO)])
    assert secrets_in(second.text) == {ONE, TWO}
    assert second.result["changes"] == ["turns_as_text"]
    assert second.result["usage"]["cached_tokens"] == 0


def test_nothing_of_a_run_with_images_is_read_by_another_conversation(rig: Rig) -> None:
    rig.ask([ask_about(RED)])
    assert secrets_in(rig.ask([user(TWO)]).text) == {TWO}
    assert secrets_in(rig.ask([ask_about(RED, text="a")]).text) == set()


def test_a_clients_own_run_after_images_reads_nothing_of_them(rig: Rig) -> None:
    rig.ask([user("Hi"), {"role": "assistant", "content": "Yes."}, ask_about(RED)])
    own = rig.run(TWO, keep_history=1)
    rig.settle()
    assert secrets_in(own.text) == {TWO}


def test_release_1_3_0_takes_the_texts_around_images_with_each(tmp_path: Path) -> None:
    rig = made_rig(furnish(tmp_path, "template"), FakeVision(facts()))
    rig.ask([ask_about(RED)])
    [given] = inputs(rig)
    texts = [given[f"image_{part}"] for part in ("start", "content", "end")]
    assert texts == ["<|vision_start|>", "<|image_pad|>", "<|vision_end|>"]


def test_tags_that_came_with_the_encoder_go_first(tmp_path: Path) -> None:
    asked = facts(tags=ImageTags("<i>", "</i>", "*"))
    rig = made_rig(furnish(tmp_path, "template"), FakeVision(asked))
    rig.ask([ask_about(RED)])
    [given] = inputs(rig)
    assert [given[f"image_{one}"] for one in ("start", "content", "end")] == ["<i>", "*", "</i>"]


def load_with_texts(rig: Rig, path: Path, **texts: str) -> None:
    texts = texts or {"img_start": "<|vision_start|>"}
    loading = rig.npu.call("rkllm_init", [{"model_path": str(path), **texts}])
    rig.settle()
    assert loading.result["success"]  # type: ignore[attr-defined]


def test_a_model_that_was_loaded_without_the_texts_is_not_shown_an_image(tmp_path: Path) -> None:
    vision = FakeVision(facts())
    path = furnish(tmp_path, "template")
    rig = made_rig(path, vision, release="1.2.1")
    error = refusal(rig, ask_about(RED))
    assert error.data == {"parameter": "messages"}
    assert error.message == (
        "messages: the model was loaded without the texts around an image, which this release of"
        " the runtime takes with rkllm.init. Load it again while the encoder is loaded, with"
        ' models.unload and models.load; or send img_start "<|vision_start|>", img_content'
        ' "<|image_pad|>" and img_end "<|vision_end|>" with rkllm.init.'
    )
    assert vision.encoded == []
    load_with_texts(rig, path, img_content="<image>")
    assert rig.ask([ask_about(RED)]).error is None


@pytest.mark.parametrize("release", ["1.2.0", "1.2.1"])
def test_older_releases_take_what_they_have(tmp_path: Path, release: str) -> None:
    path = furnish(tmp_path, "template")
    rig = made_rig(path, FakeVision(facts()), release=release)
    load_with_texts(rig, path)
    rig.ask([ask_about(RED)])
    [given] = inputs(rig)
    assert "image_start" not in given
    assert ("n_image" in given) == (release == "1.2.1")


def test_a_release_that_takes_one_image_refuses_two(tmp_path: Path) -> None:
    rig = made_rig(furnish(tmp_path, "template"), FakeVision(facts()), release="1.2.0")
    error = rig.ask([ask_about(RED, BLUE)]).error
    assert isinstance(error, InvalidParams)
    assert error.message.startswith("messages[0].content[1].image_url.url: shows a second image")


def test_the_family_and_the_client_decide_how_an_image_is_fitted(tmp_path: Path) -> None:
    path = furnish(tmp_path, "template")
    for asked, fit, resample in (
        ({"family": "gemma"}, Fit.STRETCH, Resample.VENDOR),
        ({"family": "gemma", "fit": "pad"}, Fit.PAD, Resample.VENDOR),
        ({"fit": "stretch", "resample": "smooth"}, Fit.STRETCH, Resample.SMOOTH),
    ):
        vision = FakeVision(facts(**asked))
        made_rig(path, vision).ask([ask_about(RED)])
        assert vision.encoded == [prepared(RED, Preparation(28, 28, fit, resample))]


def refusal(rig: Rig, *messages: Any, **params: Any) -> RPCError:
    error = rig.ask(list(messages), **params).error
    assert isinstance(error, RPCError)
    assert not inputs(rig)
    return error


def test_without_an_encoder_images_are_refused_with_what_to_do(tmp_path: Path) -> None:
    vision = FakeVision()
    rig = made_rig(furnish(tmp_path, "template"), vision)
    assert refusal(rig, ask_about(RED)).message == (
        "messages[0].content[0].type: this model does not read images: no vision encoder is"
        " loaded; load one with vision.load."
    )
    vision.problem = "Its process was killed by SIGSEGV."
    assert "no vision encoder is loaded (Its process was killed by SIGSEGV); load one" in (
        refusal(rig, ask_about(RED)).message
    )
    rig.turns.pictures = made.Pictures(rig.npu.release)
    assert refusal(rig, ask_about(RED)).message == (
        "messages[0].content[0].type: this model does not read images."
    )


def test_a_model_whose_texts_around_images_are_unknown_refuses_them(tmp_path: Path) -> None:
    rig = made_rig(furnish(tmp_path, "template"), FakeVision(facts(family=None)))
    assert (
        "give family or tags with vision.load, or image in its rkllm.toml"
        in refusal(rig, ask_about(RED)).message
    )


def test_an_encoder_of_another_family_is_refused(tmp_path: Path) -> None:
    path = furnish(tmp_path, "template", "qwen2-vl")
    error = refusal(made_rig(path, FakeVision(facts())), ask_about(RED))
    assert "was loaded for the family qwen3, and qwen2-vl is of the family qwen2" in error.message


def test_an_encoder_whose_file_is_named_after_another_family_is_refused(tmp_path: Path) -> None:
    vision = FakeVision(fake_encoder(EncoderLoad("/models/qwen3-vl_vision_rk3588.rknn")))
    error = refusal(made_rig(furnish(tmp_path, "template", "qwen2-vl"), vision), ask_about(RED))
    assert "file is named after the family qwen3, and qwen2-vl is of the family qwen2" in (
        error.message
    )


def test_too_many_images_for_the_context_are_refused_before_anything_runs(
    tmp_path: Path, tier: str
) -> None:
    vision = FakeVision(facts())
    rig = made_rig(furnish(tmp_path, tier), vision, tier, context=9)
    error = refusal(rig, ask_about(RED, BLUE, text="a b c"))
    assert "8 of them of images, and the model's context is 9" in error.message
    assert vision.encoded == []
    assert rig.runtime.performed == ["rkllm_init"]


def test_what_is_no_picture_is_refused_with_its_place(rig: Rig) -> None:
    error = refusal(rig, user("Hi"), {"role": "assistant", "content": ""}, ask_about(b"GIF89a"))
    said = "is a GIF picture, and only JPEG, PNG and WebP pictures are read."
    assert error.message == f"messages[2].content[0].image_url.url: {said}"


def test_a_failing_encoder_fails_the_request_and_spoils_nothing(
    rig: Rig, vision: FakeVision
) -> None:
    vision.error = RuntimeRefused("The encoder refused.")
    assert refusal(rig, ask_about(RED)).message == "The encoder refused."
    assert secrets_in(rig.ask([ask_about(RED)]).text) == {ONE}


@pytest.mark.parametrize("row_width", [7, 16, 32])
def test_rows_of_another_width_are_refused_before_an_image_is_encoded(
    rig: Rig, vision: FakeVision, row_width: int
) -> None:
    """Also rows whose width is a multiple of the model's: deepstack has more outputs."""
    rig.runtime.width = 8
    vision.encoder = attrs.evolve(facts(), row_width=row_width)
    error = refusal(rig, ask_about(RED))
    assert f"rows have {row_width} numbers, and the loaded model's embeddings have 8" in (
        error.message
    )
    assert "Load the encoder that was exported with the model" in error.message
    assert vision.encoded == []
    assert inputs(rig) == []


@pytest.mark.parametrize(("outputs", "width"), [(1, 8), (4, 8), (1, 0)])
def test_rows_of_the_models_width_are_read(
    rig: Rig, vision: FakeVision, outputs: int, width: int
) -> None:
    """Also those of four outputs, which the family qwen3 has; or if the width is not known."""
    rig.runtime.width = width
    vision.encoder = attrs.evolve(facts(), outputs=outputs)
    assert secrets_in(rig.ask([ask_about(RED)]).text) == {ONE}
    assert len(vision.encoded) == 1


def test_outputs_that_the_models_family_does_not_have_are_refused(tmp_path: Path) -> None:
    vision = FakeVision(attrs.evolve(facts(family=None), outputs=4))
    error = refusal(made_rig(furnish(tmp_path, "template", "qwen2-vl"), vision), ask_about(RED))
    assert "has 4 outputs, and those of the family qwen2 have 1" in error.message
    assert vision.encoded == []


def test_another_encoder_in_between_is_noticed(tmp_path: Path) -> None:
    vision = FakeVision(facts())
    rig = made_rig(furnish(tmp_path, "template"), vision)
    asked = rig.start([ask_about(RED)])
    vision.encoder = attrs.evolve(facts(), identity="other")
    rig.settle()
    assert "The vision encoder has been changed" in str(asked.error)


def test_an_image_may_be_a_file_in_model_dir(tmp_path: Path) -> None:
    folder = tmp_path / "dir"
    path = furnish(folder, "template")
    (folder / "red.png").write_bytes(RED)
    (tmp_path / "blue.png").write_bytes(BLUE)
    vision = FakeVision(facts())
    rig = made_rig(path, vision, files=Files([str(folder)]))

    def shown(name: Path) -> dict[str, Any]:
        return {"role": "user", "content": [{"type": "image", "path": str(name)}]}

    rig.ask([shown(folder / "red.png")])
    assert vision.encoded == [prepared(RED, Preparation(28, 28))]
    for name in (tmp_path / "blue.png", folder / ".." / "blue.png"):
        error = rig.ask([shown(name)]).error
        assert isinstance(error, NotAllowed)
        assert error.data == {"parameter": "messages[0].content[0].path"}
    assert "No such file" in str(rig.ask([shown(folder / "none.png")]).error)


def test_tools_work_with_images(tmp_path: Path) -> None:
    template = CHATML.replace("{% for", "{{ tools | tojson if tools else '' }}{% for", 1)
    rig = made_rig(furnish(tmp_path, "template", template=template), FakeVision(facts()))
    tool = {"type": "function", "function": {"name": TWO, "parameters": {"type": "object"}}}
    assert secrets_in(rig.ask([ask_about(RED)], tools=[tool]).text) == {ONE, TWO}


def test_a_tool_that_has_to_be_called_is_not_forced(tmp_path: Path) -> None:
    rig = made_rig(furnish(tmp_path, "tokens"), FakeVision(facts()), "tokens")
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    asked = rig.ask([ask_about(RED)], tools=[tool], tool_choice="required", max_new_tokens=2)
    assert "tool_choice_not_forced" in asked.result["changes"]
    assert asked.result["structured"]["guaranteed"] is False


def test_an_answer_in_a_form_is_checked(rig: Rig, vision: FakeVision) -> None:
    form = {"type": "regex", "regex": "saw zq1q"}
    asked = rig.ask([ask_about(RED)], response_format=form)
    assert asked.text == "saw zq1q"
    assert asked.result["structured"]["guaranteed"] is False
    form["regex"] = "never"
    error = rig.ask([ask_about(RED)], response_format=form).error
    assert "did not keep to the form in 3 attempts" in str(error)
    assert [given["n_image"] for given in inputs(rig)] == [1, 1, 1, 1]
    assert len(vision.encoded) == 1


def test_tokens_of_images_are_counted(tmp_path: Path) -> None:
    from rkllm_twisted.methods.tokens_count import Params

    rig = made_rig(furnish(tmp_path, "tokens"), FakeVision(facts()), "tokens")
    counts = []
    for messages in ([ask_about()], [ask_about(RED)], [ask_about(RED, RED)]):
        asked = rig.begin("tokens.count", Params(messages=messages))
        rig.settle()
        counts.append(asked.result["count"])
    tag = counts[2] - counts[1]
    assert counts[1] - counts[0] == tag > 4  # the rows and the tag


def test_render_shows_the_tags(rig: Rig) -> None:
    from rkllm_twisted.methods.chat_render import Params

    asked = rig.begin("chat.render", Params([ask_about(RED)]))
    rig.settle()
    assert f"<image>{ONE}" in asked.result["text"]
    assert asked.result["tokens"] is None
