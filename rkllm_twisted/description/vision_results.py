"""The results of the methods ``vision.*``."""

from __future__ import annotations

from collections.abc import Mapping

from rkllm_twisted.description.model import Item, ResultModel, Type


def _item(name: str, json: str, meaning: str, unit: str | None = None) -> Item:
    return Item(name, Type(tuple(json.split(" or "))), meaning, unit)


#: The member ``vision`` of ``server.status``.
VISION_STATUS = _item(
    "vision",
    "object or null",
    "The vision encoder: state (empty, loading, loaded, encoding, or standby: the next picture"
    " loads it), encoder (what vision.load answers), problem (how its process ended last, if"
    " badly), encoded (pictures since the start), encode_s.",
)
#: By method.
VISION_RESULTS: Mapping[str, ResultModel] = {
    "vision.load": ResultModel(
        items=(
            _item("path", "string", "Of its file, as it was sent."),
            _item("name", "string", "Of its file."),
            _item("kind", "string", "The kind of file: rknn, or what a plugin calls it."),
            _item("library", "string", "What runs it."),
            _item("version", "string", "Of the library."),
            _item("driver", "string", "Of the NPU's driver, as the library says it."),
            _item("is_real", "boolean", "false: the library makes its rows up."),
            _item("memory", "integer or null", "What the encoder takes.", "bytes"),
            _item("width", "integer", "Of its input.", "pixels"),
            _item("height", "integer", "Of its input.", "pixels"),
            _item("tokens", "integer", "The rows that it makes of a picture.", "tokens"),
            _item("row_width", "integer", "The numbers of a row of one output."),
            _item("outputs", "integer", "1; more with deepstack."),
            _item("cores", "string", "As asked for."),
            _item("family", "string or null", "As asked for."),
            _item("tags", "object or null", "As asked for: start, end, content."),
            _item("fit", "string or null", "As asked for; null: the family's."),
            _item("resample", "string", "As asked for."),
            _item("keep_loaded", "boolean", "As asked for."),
            _item("load_time_s", "number", "How long loading took.", "s"),
        )
    ),
    "vision.encode": ResultModel(
        "The fields of the multimodal input, beside the shape of a row.",
        items=(
            _item(
                "image_embed",
                "array",
                "n_image_tokens rows of outputs * row_width numbers: of each token the row of each"
                " output.",
            ),
            _item("n_image_tokens", "integer", "The rows.", "tokens"),
            _item("n_image", "integer", "1."),
            _item("image_width", "integer", "Of the encoder's input.", "pixels"),
            _item("image_height", "integer", "Of the encoder's input.", "pixels"),
            _item("row_width", "integer", "The width of the model that the encoder belongs to."),
            _item("outputs", "integer", "1; more with deepstack."),
        ),
    ),
    "vision.unload": ResultModel(
        items=(_item("path", "string", "Of the file of the encoder that was unloaded."),)
    ),
}
