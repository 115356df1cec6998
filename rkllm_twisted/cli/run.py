"""``rkllm run``: one prompt and its answer."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from rkllm_twisted.blocking import Client
from rkllm_twisted.cli.answer_form import print_answer, read_schema
from rkllm_twisted.cli.connected import dump, json_option, model_options, params_option, with_client
from rkllm_twisted.cli.images import image_option
from rkllm_twisted.cli.load import ensure_loaded
from rkllm_twisted.cli.terminal import is_terminal, say, show_wait
from rkllm_twisted.client_core.call import MethodCall
from rkllm_twisted.client_core.fields import RKLLMInput
from rkllm_twisted.client_core.methods import run_async
from rkllm_twisted.client_core.results import Result


def without_marks(text: str) -> str:
    """Remove what editors on other systems add to a file: a byte order mark, and CR at the ends."""
    return re.sub(r"\A[\ufeff\r]+|\r+(?=\n*\Z)", "", text)


def _prompt(context: click.Context, _: click.Parameter, words: Sequence[str]) -> str:
    """Read the prompt from its source, before the client connects."""
    argument = " ".join(words) if words else None
    file: str | None = context.params.get("file")
    if argument is not None and file is not None:
        raise click.UsageError("Give the prompt as an argument or with --file, not both", context)
    if argument is None and file is None and is_terminal(sys.stdin):
        raise click.UsageError("Give a prompt, as an argument, with --file or on stdin", context)
    if argument in (None, "-"):
        try:
            data = sys.stdin.buffer.read() if file in (None, "-") else Path(str(file)).read_bytes()
            argument = without_marks(data.decode())
        except UnicodeDecodeError:
            raise click.UsageError("The prompt is not UTF-8 text", context) from None
        except OSError as error:
            raise click.UsageError(f"{file}: {error.strerror}", context) from None
    if not argument:
        raise click.UsageError("The prompt is empty", context)
    return argument


@click.command()
@with_client
@model_options
@click.option(
    "-f",
    "--file",
    type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True),
    is_eager=True,
    help="Read the prompt from a file; - is stdin.",
)
@click.option("--role", help="The role of the prompt's author: user, tool …")
@click.option("--keep-history", is_flag=True, help="Keep this run in the model's history.")
@click.option(
    "--schema",
    type=click.Path(exists=True, dir_okay=False, readable=True),
    callback=read_schema,
    help="Answer with JSON that fits the JSON schema in a file.",
)
@image_option
@params_option("RKLLMInferParam")
@json_option
@click.argument("prompt", nargs=-1, callback=_prompt)
def command(
    client: Client,
    model: str | None,
    reload: bool,
    file: str | None,  # noqa: ARG001 - _prompt has read it
    role: str | None,
    keep_history: bool,
    schema: Mapping[str, Any] | None,
    images: list[Mapping[str, object]],
    params: Mapping[str, Any],
    as_json: bool,
    prompt: str,
) -> None:
    """Run the model on PROMPT and print the answer as it comes.

    PROMPT may be several words. Without PROMPT, or if it is -, the prompt is read from stdin. With
    --json each result of the stream is printed as one line, as the daemon sends it.
    """
    if model is not None:
        ensure_loaded(client, model, reload)
    if schema is not None or images:
        if keep_history or role is not None:
            asked = "--image" if schema is None else "--schema"
            raise click.UsageError(f"{asked} asks alone; leave --role and --keep-history out")
        print_answer(client, prompt, schema, images, params, as_json)
        return
    if keep_history:
        params = {"keep_history": 1, **params}
    rkllm_input: RKLLMInput = {
        "prompt_input": prompt,
        **({"role": role} if role is not None else {}),
    }
    _print(client, run_async(rkllm_input, **params), as_json)


def _print(client: Client, call: MethodCall[Result], as_json: bool) -> None:
    begun = False
    try:
        with closing(client.stream(call.method, call.params)) as results:
            for raw in show_wait(results):
                if as_json:
                    print(dump(raw), flush=True)
                result = call.read(raw)  # raises if the run has ended in an error
                if not as_json:
                    begun = True
                    say(result.text)
    finally:
        if begun:
            say("\n")
