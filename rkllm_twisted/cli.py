"""The ``rkllm`` command: a client for the terminal, free of a reactor."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from rkllm_twisted import __version__
from rkllm_twisted.blocking import Client, Unreachable, default_socket
from rkllm_twisted.cpu import demo_model as demo_model_path
from rkllm_twisted.demo import demonstrate
from rkllm_twisted.errors import NoModel, RPCError, StartupError

#: Exit codes, for scripts: the daemon answered with an error; there is no daemon.
FAILED, UNREACHABLE = 1, 3

socket_option = click.option(
    "--socket",
    "socket_path",
    default=default_socket,
    show_default="$RKLLM_UDS_PATH or /tmp/rkllm.sock",
    help="Path of the daemon's socket.",
)


class Commands(click.Group):
    """Tells expected errors in one sentence, with an exit code of its own."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except Unreachable as error:
            fail(str(error), UNREACHABLE)
        except NoModel:
            fail("No model is loaded; give one with `rkllm run --model PATH`.")
        except RPCError as error:
            fail(f"{error} ({error.code})")
        except StartupError as error:
            fail(str(error))
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(FAILED)


def fail(sentence: str, code: int = FAILED) -> NoReturn:
    """Say what is wrong and go."""
    click.echo(f"rkllm: {sentence}", err=True)
    sys.exit(code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rkllm")
def main() -> None:
    """Talk to the daemon that `twistd rkllm` runs."""


@main.command()
@socket_option
@click.option("--model", help="Load this model first (a path on the daemon's machine).")
@click.option("--keep-history", is_flag=True, help="Keep the run in the model's history.")
@click.argument("prompt")
def run(socket_path: str, model: str | None, keep_history: bool, prompt: str) -> None:
    """Run PROMPT and print the answer as it comes."""
    with Client(socket_path) as client:
        if model is not None:
            client.call("rkllm.init", {"param": {"model_path": str(Path(model).absolute())}})
        state = 0
        for result in client.stream("rkllm.run_async", run_params(prompt, keep_history)):
            state = result["_callback_state"]
            if state == 0:
                click.echo(result["text"] or "", nl=False)
                sys.stdout.flush()
        click.echo()
        if state == 3:
            fail("The run ended in an error; the daemon's log says why.")


def run_params(prompt: str, keep_history: bool = False) -> dict[str, Any]:
    """The parameters of rkllm.run_async for a user's prompt."""
    return {
        "rkllm_input": {"input_type": "RKLLM_INPUT_PROMPT", "prompt_input": prompt},
        "rkllm_infer_params": {
            "mode": "RKLLM_INFER_GENERATE",
            **({"keep_history": 1} if keep_history else {}),  # 1.1.x does not have the field
        },
    }


def json_argument(_: click.Context, __: click.Parameter, text: str | None) -> Any:
    """A parameter that is JSON: an array or an object."""
    try:
        value = json.loads(text) if text is not None else None
    except ValueError as error:
        raise click.BadParameter(f"This is not JSON: {error}.") from None
    if value is not None and not isinstance(value, (list, dict)):
        raise click.BadParameter("Parameters are a JSON array or object.")
    return value


@main.command()
@socket_option
@click.argument("method")
@click.argument("params", required=False, metavar="[JSON]", callback=json_argument)
def call(socket_path: str, method: str, params: Any) -> None:
    """Call METHOD with JSON parameters and print each result as a line of JSON."""
    with Client(socket_path) as client:
        if method == "rkllm.run_async":
            for result in client.stream(method, params):
                click.echo(json.dumps(result, ensure_ascii=False))
        else:
            click.echo(json.dumps(client.call(method, params), ensure_ascii=False))


@main.command("demo-model")
def demo_model() -> None:
    """Print the path of the bundled model."""
    click.echo(demo_model_path())


@main.command()
@click.option("--prompt", default="What is a module?", show_default=True)
def demo(prompt: str) -> None:
    """Start a daemon with the bundled model, ask it something, show the figures, stop it."""
    sys.exit(demonstrate(prompt))


if __name__ == "__main__":
    main()
