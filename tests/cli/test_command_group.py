"""Names, help, start-up time and exit codes of all commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from rkllm_twisted import errors
from rkllm_twisted.cli import COMMANDS, main, run
from rkllm_twisted.cli.command_group import Commands
from rkllm_twisted.cli.connected import with_client
from rkllm_twisted.cli.exit_codes import MEANINGS, REASONS, Exit, exit_reason

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
#: Modules that --help does not need: slow ones, and Twisted.
SLOW = ("rich", "prompt_toolkit", "pygal", "msgspec", "attr", "twisted", "zope")
#: The package's error classes.
ERRORS = [
    error
    for error in vars(errors).values()
    if isinstance(error, type)
    and issubclass(error, Exception)
    and error.__module__ == errors.__name__
    and error is not errors.HTTPError  # the HTTP service answers with it; no command gets one
]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_summary_is_the_first_sentence_of_its_own_help(name: str) -> None:
    """The table of summaries is used by --help alone."""
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.help is not None
    first = " ".join(command.help.split("\n\n")[0].split())
    assert first == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_stands_in_the_page(name: str) -> None:
    """docs/cli.md explains each command."""
    assert f"`rkllm {name}" in PAGE.read_text()


@pytest.mark.parametrize("name", [*COMMANDS, None])
def test_help_comes_without_a_daemon(name: str | None) -> None:
    """Every command also has --debug."""
    done = CliRunner().invoke(main, [*([name] if name else []), "--help"])
    assert done.exit_code == 0
    assert "--debug" in done.output


def imported(*words: str) -> set[str]:
    """Return the packages that a command imports."""
    code = (
        "import sys; from rkllm_twisted.cli import main; sys.argv = sys.argv[:1] + sys.argv[2:]\n"
        "try: main()\n"
        "finally: print(*sys.modules, file=open(sys.path_out, 'w'))"
    ).replace("sys.path_out", "3")
    command = [sys.executable, "-c", f"import sys; sys.argv.insert(1, ''); {code}", *words]
    read, write = os.pipe()
    with os.fdopen(read) as out:
        subprocess.run(
            ["bash", "-c", f'exec 3>&{write}; exec "$@"', "-", *command],
            pass_fds=[write],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )
        os.close(write)
        return {name.partition(".")[0] for name in out.read().split()}


def test_help_imports_next_to_nothing() -> None:
    """The help imports neither a client nor a library for screens, so it starts quickly."""
    packages = imported("--help")
    assert "click" in packages
    assert packages.isdisjoint(SLOW)


def test_a_run_imports_neither_twisted_nor_screens() -> None:
    """Scripts call this command most often."""
    packages = imported("run", "--socket=/nowhere", "hi")
    assert "msgspec" in packages
    assert packages.isdisjoint(("rich", "prompt_toolkit", "pygal", "twisted", "zope"))


def test_a_router_s_configuration_is_written_without_twisted(tmp_path: Path) -> None:
    """The commands of a fleet's operator start as quickly as the others."""
    packages = imported("fleet", "router-config", str(tmp_path / "node"))
    assert (tmp_path / "node" / ".crossbar" / "config.json").exists()
    assert packages.isdisjoint(("twisted", "zope", "autobahn"))


def test_the_pages_table_of_exit_codes_is_the_programs() -> None:
    """Numbers and meanings agree."""
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == MEANINGS


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_ends_with_a_code_and_one_line(kind: type[Exception]) -> None:
    """The code is never that of success, of wrong use, or of a crash."""
    error = kind(-1, "A sentence.") if kind is errors.RemoteError else kind("A\nsentence.")
    end = exit_reason(error)
    assert end.code not in (Exit.OK, Exit.USAGE, Exit.FAULT)
    assert end.sentence is not None
    assert "\n" not in end.sentence


def test_each_special_error_comes_before_its_base() -> None:
    """Otherwise the special row would never be used."""
    seen: list[type[BaseException]] = []
    for kind, _, _ in REASONS:
        assert not any(issubclass(kind, earlier) for earlier in seen)
        seen.append(kind)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), Exit.INTERRUPTED, None),
        (BrokenPipeError(), Exit.PIPE, None),
        (errors.NoModel("x"), Exit.NO_MODEL, "No model is loaded; load one with `rkllm init"),
        (
            errors.NoModel.after("was killed by SIGSEGV"),
            Exit.NO_MODEL,
            "because the runtime's process was killed by SIGSEGV; load one with `rkllm init PATH`",
        ),
        (
            errors.NoModel("Load an encoder.", {"reason": errors.NO_ENCODER}),
            Exit.NO_MODEL,
            "Load an encoder. (-32001)",
        ),
        (errors.Busy("Full."), Exit.BUSY, "Full. (-32002)"),
        (errors.NoDaemon("None."), Exit.NO_DAEMON, "None."),
        (errors.NoPermission("Shut."), Exit.NOT_ALLOWED, "Shut."),
        (errors.Disconnected("Gone."), Exit.LOST, "Gone."),
        (errors.NoAnswer("Late."), Exit.TIMED_OUT, "Late."),
        (errors.RuntimeCrashed("Dead."), Exit.CRASHED, "Dead."),
        (PermissionError(13, "Permission denied", "/x"), Exit.FAILED, "/x: Permission denied"),
        (ValueError("oops"), Exit.FAULT, "--debug"),
    ],
)
def test_an_error_has_its_ending(error: BaseException, code: Exit, words: str | None) -> None:
    """Each error has its exit code and its sentence."""
    end = exit_reason(error)
    assert end.code == code
    assert (words is None) == (end.sentence is None)
    assert (words or "") in (end.sentence or "")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nope"], "No such command 'nope'"),
        (["run", "--nope", "x"], "--nope"),
        (["run", ""], "prompt is empty"),
        (["run", "x", "-f", str(PAGE)], "not both"),
        (["run", "-f", "/nowhere"], "/nowhere"),
        (["run", "-f", sys.executable], "UTF-8"),
        (["run", "-p", "oops", "x"], "NAME=VALUE"),
        (["call"], "METHOD"),
        (["bench", "--plot", "x.png"], ".svg"),
        (["chat"], "needs a terminal"),
        (["completion", "tcsh"], "tcsh"),
        (["status", "--interval", "0"], "0"),
    ],
)
def test_wrong_use_is_one_sentence_and_2(words: list[str], says: str) -> None:
    """The sentence names the mistake and the help; no daemon is needed."""
    done = CliRunner().invoke(main, words)
    assert done.exit_code == Exit.USAGE
    assert says in done.stderr
    assert "--help`." in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_debug_shows_where_an_error_comes_from() -> None:
    """--debug works before and after the command's name and changes neither sentence nor code."""
    for words in (["--debug", "abort"], ["abort", "--debug"]):
        done = CliRunner().invoke(main, [*words, "--socket=/nowhere"])
        assert done.exit_code == Exit.NO_DAEMON
        assert "Traceback" in done.stderr
        assert done.stderr.splitlines()[-1].startswith("rkllm: No daemon")


def test_what_talks_has_socket_and_timeout() -> None:
    """The options configure the client; the function does not receive them."""
    command = click.command()(with_client(lambda client: None))
    assert {"socket_path", "timeout"} <= {param.name for param in command.params}


def test_alone_it_says_what_there_is() -> None:
    """The output is the same as with --help."""
    alone, helped = CliRunner().invoke(main, []), CliRunner().invoke(main, ["--help"])
    assert (alone.exit_code, alone.output) == (0, helped.output)


def test_version_is_told() -> None:
    """The version is the package's."""
    from rkllm_twisted import __version__

    assert CliRunner().invoke(main, ["--version"]).stdout == f"rkllm, version {__version__}\n"


def test_the_librarys_lines_follow_the_sentence() -> None:
    """A terminal gets no control characters."""
    data = {"lines": ["E rkllm: no memory", "W \x1b[2Jx"]}
    for kind in (errors.RuntimeRefused, errors.RuntimeCrashed):
        text = exit_reason(kind("It failed.", data)).text
        assert text is not None
        first, *lines = text.splitlines()
        assert first.startswith("It failed. (-3200")
        assert lines == ["  E rkllm: no memory", "  W �[2Jx"]
    repeated = errors.RuntimeRefused("rkllm_init returned -1: no memory.", data)
    assert exit_reason(repeated).lines == ("W �[2Jx",)
    assert exit_reason(errors.RuntimeRefused("It failed.")).text == "It failed. (-32000)"


def test_a_command_without_its_docstring_has_its_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    """``python -OO`` has dropped the docstring, which is the help."""
    monkeypatch.setattr(run.command, "help", None)
    group = Commands(summaries={"run": "Ask the model."})
    assert group.get_command(click.Context(group), "run") is run.command
    assert run.command.help == "Ask the model."
