"""``/api/generate``: a request to the parameters of ``chat.complete`` or ``text.complete``."""

from __future__ import annotations

from typing import Any

from rkllm_twisted.http.ollama import fields
from rkllm_twisted.http.ollama.call import CHAT, TEXT, OllamaCall, read_call, read_format
from rkllm_twisted.http.ollama.chat import chat_params, with_images
from rkllm_twisted.http.translation.fields import ignored_fields
from rkllm_twisted.http.translation.reading import Body, flag, text, wrong

_NO_TEMPLATE = "A raw prompt is read without a template."


def read_generate(body: Body) -> OllamaCall:
    """Read the body of a request.

    A prompt is a user's message, as the model's template shows it. With ``raw`` or a ``suffix`` it
    is a text that the model continues.

    :raises HTTPError: a field is wrong, or asks for what RKLLM cannot do.
    """
    ignored = ignored_fields(body, fields.GENERATE)
    prompt, suffix = text(body, "prompt") or "", text(body, "suffix")
    system, images = text(body, "system"), body.get("images")
    if not prompt and not suffix:
        return read_call(body, None, {}, ignored)
    if not suffix and not flag(body, "raw"):
        content: Any = with_images(prompt, images, "images") if images else prompt
        question = [{"role": "user", "content": content}]
        messages = [{"role": "system", "content": system}, *question] if system else question
        return read_call(body, CHAT, {"messages": messages, **chat_params(body)}, ignored)
    if read_format(body.get("format")) is not None:
        raise wrong("format", "is for prompts with a template; leave raw and suffix out")
    if images:
        raise wrong("images", "are for prompts with a template; leave raw and suffix out")
    params: dict[str, Any] = {"prompt": prompt}
    if suffix:
        params["suffix"] = suffix
    unused = {name: _NO_TEMPLATE for name in ("system", "think") if body.get(name)}
    return read_call(body, TEXT, params, {**ignored, **unused})
