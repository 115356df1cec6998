"""``rkllm run --schema`` and ``--image``: an answer of chat, to one question."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.connected import dump
from rkllm_twisted.cli.terminal import say, show_wait
from rkllm_twisted.client_core.inference_methods import chat_stream

#: Fields of RKLLMInferParam -> parameters of ``chat.complete``.
_PARAMS = {"max_new_tokens": "max_new_tokens", "sampling_params": "sampling"}


def read_schema(context: click.Context, _: click.Parameter, file: str | None) -> Any:
    """Read the schema from its file, before the client connects."""
    if file is None:
        return None
    try:
        schema = json.loads(Path(file).read_text("utf-8-sig"))
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror}", context) from None
    except (ValueError, RecursionError):
        raise click.UsageError(f"{file} is not JSON", context) from None
    if not isinstance(schema, dict):
        raise click.UsageError(f"{file} is no JSON schema, which is an object", context)
    return schema


def print_answer(
    client: Client,
    prompt: str,
    schema: Mapping[str, Any] | None,
    images: Sequence[Mapping[str, object]],
    params: Mapping[str, Any],
    as_json: bool,
) -> None:
    """Ask for an answer, and print it as it comes.

    :param schema: the form of the answer; None for any text.
    :param images: the images that the question shows, as parts of a message.
    :param params: fields of RKLLMInferParam.
    """
    unknown = [name for name in params if name not in _PARAMS]
    if unknown:
        known = " and ".join(_PARAMS)
        asked = "--image" if schema is None else "--schema"
        raise click.UsageError(f"{unknown[0]} cannot be set with {asked}, only {known}")
    options: Any = {_PARAMS[name]: value for name, value in params.items()}
    if schema is not None:
        form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        options["response_format"] = form
    content = [*images, {"type": "text", "text": prompt}] if images else prompt
    call = chat_stream([{"role": "user", "content": content}], **options)
    begun = False
    try:
        with closing(client.stream(call.method, call.params)) as pieces:
            for raw in show_wait(pieces):
                if as_json:
                    print(dump(raw), flush=True)
                    continue
                begun = True
                piece = call.read(raw)
                say(piece.text)
                if schema and piece.result is not None and piece.result.finish_reason == "length":
                    click.echo("\nThe limit came first: this is no whole answer.", err=True)
    finally:
        if begun:
            say("\n")
