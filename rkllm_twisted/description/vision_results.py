"""The results of the methods ``vision.*``."""

from __future__ import annotations

from collections.abc import Mapping

from rkllm_twisted.description.model import ResultModel, item

#: The member ``vision`` of ``server.status``.
VISION_STATUS = item(
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
            item("path", "string", "Of its file, as it was sent."),
            item("name", "string", "Of its file."),
            item("kind", "string", "The kind of file: rknn, or what a plugin calls it."),
            item("library", "string", "What runs it."),
            item("version", "string", "Of the library."),
            item("driver", "string", "Of the NPU's driver, as the library says it."),
            item("is_real", "boolean", "false: the library makes its rows up."),
            item("memory", "integer or null", "What the encoder takes.", "bytes"),
            item("width", "integer", "Of its input.", "pixels"),
            item("height", "integer", "Of its input.", "pixels"),
            item("tokens", "integer", "The rows that it makes of a picture.", "tokens"),
            item("row_width", "integer", "The numbers of a row of one output."),
            item("outputs", "integer", "1; more with deepstack."),
            item("cores", "string", "As asked for."),
            item("family", "string or null", "As asked for."),
            item("tags", "object or null", "As asked for: start, end, content."),
            item("fit", "string or null", "As asked for; null: the family's."),
            item("resample", "string", "As asked for."),
            item("keep_loaded", "boolean", "As asked for."),
            item("load_time_s", "number", "How long loading took.", "s"),
        )
    ),
    "vision.encode": ResultModel(
        "The fields of the multimodal input, beside the shape of a row.",
        items=(
            item(
                "image_embed",
                "array",
                "n_image_tokens rows of outputs * row_width numbers: of each token the row of each"
                " output.",
            ),
            item("n_image_tokens", "integer", "The rows.", "tokens"),
            item("n_image", "integer", "1."),
            item("image_width", "integer", "Of the encoder's input.", "pixels"),
            item("image_height", "integer", "Of the encoder's input.", "pixels"),
            item("row_width", "integer", "The width of the model that the encoder belongs to."),
            item("outputs", "integer", "1; more with deepstack."),
        ),
    ),
    "vision.unload": ResultModel(
        items=(item("path", "string", "Of the file of the encoder that was unloaded."),)
    ),
}
