"""Renders docs/troubleshooting.md: symptoms, and the codes and checks of the code's tables."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
from words import table

from rkllm_twisted.errors import RPCError

INTRODUCTION = """\
# When something goes wrong

<!-- Made by docs/generate.py from docs/troubleshooting_page.py, rkllm_twisted/errors.py and
     rkllm_twisted/board/{checks,vision_checks,http_checks}.py: change those. -->

Start with `rkllm doctor`: it checks the board, the library, the permissions, the daemon and the
HTTP service, and prints a remedy for each finding. `rkllm status` shows what the daemon does now,
and its `problem` how the runtime failed last. The log has the outcome of every request and what the
library printed ([operations](operations.md#the-log)).

An error message says what happened and what to do. Look it up here by its words, or by its code
[below](#error-codes).
"""


@attrs.frozen
class Symptom:
    """What a person sees, what it means, and what to do.

    :param seen: words of a message; those in backticks stand in the code, word by word.
    """

    seen: str
    means: str
    remedy: str


def _symptoms(*rows: tuple[str, str, str]) -> tuple[Symptom, ...]:
    return tuple(Symptom(*row) for row in rows)


#: Heading -> its symptoms, the commonest first.
SYMPTOMS: Mapping[str, Sequence[Symptom]] = {
    "The daemon does not start": _symptoms(
        (
            "`on the loader's path`",
            "`librkllmrt.so` is not where the loader looks.",
            "Install it ([first steps](first-steps-board.md)), or name it with `--library PATH`."
            " Without an NPU: `--library cpu`.",
        ),
        (
            "`is no shared library`, `does not export rkllm_init`",
            "The file of `--library` is another library, or a page that was downloaded instead"
            " of it.",
            "Download the library again; `file librkllmrt.so` must say *ELF … aarch64*.",
        ),
        (
            "`and its layout fits`",
            "The release of the library is in doubt, and a wrong one would corrupt memory.",
            "Name the release with `--abi`, such as `--abi 1.2.1`.",
        ),
        (
            "`Another daemon already serves`",
            "A daemon runs with this socket.",
            "Use it, or stop it, or choose another path with `--socket`.",
        ),
        (
            "`Anybody may replace files in the directory`",
            "Another user could put a socket of his own in place of the daemon's.",
            "Use a directory that only the daemon's user may write to, such as `/run/rkllm`.",
        ),
        (
            "`Two plugins provide`",
            "Two installed packages have a method of one name.",
            "Remove one of the packages that the message names.",
        ),
    ),
    "A client cannot connect": _symptoms(
        (
            "`No daemon listens at`",
            "No process listens at this path, or the daemon uses another one.",
            "Start the daemon (`sudo systemctl start rkllm.socket` with the package). Compare"
            " `$RKLLM_UDS_PATH` with the daemon's `--socket`.",
        ),
        (
            "`Only members of the group`, `Only the user`",
            "The socket's permissions exclude this user.",
            '`sudo adduser "$USER" rkllm`, then log in again. `id` must show the group.',
        ),
        (
            "`may not use this daemon`",
            "The daemon's `--allow-uid` and `--allow-gid` leave out this user.",
            "Add the user to one of them ([security](security.md)).",
        ),
        (
            "`clients are connected`",
            "All of `--max-clients` are in use.",
            "Close clients, or raise `--max-clients`.",
        ),
        (
            "`is not a socket`",
            "`$RKLLM_UDS_PATH` or `--socket` names another file.",
            "Name the daemon's socket.",
        ),
    ),
    "A model does not load": _symptoms(
        (
            "`check that the model is made for this chip`",
            "The library refused the model. Common reasons: the model is for another chip or for"
            " another release of the toolkit, `max_context_len` is above the model's limit, memory"
            " is short, or the file is incomplete.",
            "Read the library's lines in `data.lines` or the log. Compare the file's size with the"
            " original. Try a smaller `max_context_len`.",
        ),
        (
            "-32004 during `rkllm.init`",
            "The library crashed, most often because memory was short.",
            "`rkllm doctor --model PATH` compares sizes. Load a smaller model, a smaller"
            " `max_context_len`, or stop other programs.",
        ),
        (
            "`the model's files cannot be opened`",
            "The library has opened as many files as its process may: one for each NPU buffer.",
            "Raise the limit that the message names: `LimitNOFILE=` of the unit, or `ulimit -Hn`.",
        ),
        (
            "-32003 during `rkllm.init`",
            "Loading took longer than `--init-timeout`.",
            "Slow storage: raise `--init-timeout`. Otherwise another program may hold the NPU:"
            " stop it.",
        ),
        (
            "`No model was unloaded`",
            "The file is no model for this runtime: a Git LFS pointer, a web page, an incomplete"
            " download, or a model for another runtime. The message says which.",
            "Download it again (`git lfs pull`), or convert it with rkllm-toolkit.",
        ),
        (
            "-32602 for `model_path`",
            "The daemon cannot see or read the file. It runs as another user, and as a service it"
            " sees neither `/home` nor `/tmp`.",
            "Put models into `/var/lib/rkllm/models` ([operations](operations.md#the-service)).",
        ),
        (
            "`is not in a directory of --model-dir`",
            "The daemon opens files of these directories only.",
            "Move the file into one of them, or add its directory to `--model-dir`.",
        ),
        (
            "`no handle, which means that the NPU's memory is short`",
            "The library reported success without a model.",
            "Stop other programs that use the NPU, or load a smaller model.",
        ),
    ),
    "A run fails, or its answer is wrong": _symptoms(
        (
            "`No model is loaded`",
            "No client has loaded one, or it was lost in a crash: `problem` in `server.status`"
            " says so.",
            "`rkllm init PATH`. After a crash, load it again.",
        ),
        (
            "`check that the prompt fits into max_context_len`",
            "The prompt, with the history before it, is longer than the context.",
            "Clear the history (`rkllm.clear_kv_cache`), shorten the prompt, or load the model with"
            " a larger `max_context_len`.",
        ),
        (
            "The answer ends in the middle",
            "It reached `max_new_tokens`, or the context is full.",
            "Raise `max_new_tokens` or `max_context_len`; `rkllm status` shows how full the"
            " cache is.",
        ),
        (
            "The answer never ends, or repeats",
            "The library does not know the model's end token: models converted with toolkit 1.2.2"
            " or 1.2.3 have this fault with runtime 1.3.0.",
            "Name its end tokens in `rkllm.toml` beside it, such as `end_tokens = [151645]`, and"
            " load it by its name ([models](models.md#rkllmtoml)). Or convert it again with the"
            " toolkit of the runtime's release.",
        ),
        (
            "The answer refers to another client's conversation",
            "With `--history shared` all clients share one history.",
            "Start the daemon with `--history connection`, or clear the cache before the run.",
        ),
        (
            "The answer is nonsense",
            "The chat template does not fit the model, or an older run is still in the cache.",
            "Send the prompt with `role` `user` and without marks of your own; clear the cache.",
        ),
        (
            "-32003 during a run",
            "No token came within `--first-token-timeout` or `--token-timeout`.",
            "A long prompt: raise `--first-token-timeout`. Otherwise read the log.",
        ),
        (
            "-32004 during a run",
            "The library crashed. The daemon has started another process for it.",
            "`data.lines` has what it printed last. Load the model again.",
        ),
    ),
    "The daemon is busy or slow": _symptoms(
        (
            "`calls already wait`",
            "The queue of `--queue` calls is full.",
            "Try again later; `rkllm status` shows who waits.",
        ),
        (
            "`requests under way; wait for one`",
            "This connection has used its share, `--max-requests`.",
            "Wait for an answer before the next request.",
        ),
        (
            "`The NPU is stuck`",
            "With `--isolation thread`, the library does not return from a call.",
            "Restart the daemon; use `--isolation process`.",
        ),
        (
            "Fewer tokens per second than before",
            "The frequencies vary, or the chip is hot.",
            "`rkllm doctor` checks `governor` and `heat`; `rkllm bench` measures.",
        ),
        (
            "`the program of the runtime's process is the one in Python`",
            "The one in C was not built, or cannot run here. It takes 24 MB more, and more time.",
            "Do what the line says; `server.version` repeats it (`runtime.host_reason`).",
        ),
        (
            "A client is disconnected while it reads nothing",
            "It left more than `--max-unread` unread for `--unread-timeout`.",
            "Read answers as they come.",
        ),
    ),
}
#: Code -> what to do.
REMEDIES: Mapping[int, str] = {
    -32700: "Send JSON as [the wire](wire.md) has it, in UTF-8.",
    -32600: "Send a JSON-RPC 2.0 request; the message says what is missing.",
    -32601: "`rkllm methods` lists the methods.",
    -32602: "Correct the parameter that `data.parameter` names.",
    -32603: "The log has the traceback under the number in the message. Report it.",
    -32000: "Read `data.function`, the library's lines, and [above](#a-model-does-not-load).",
    -32001: "Load a model: `rkllm init PATH`. An encoder: `vision.load`.",
    -32002: "Try again later.",
    -32003: "See the option that the message names.",
    -32004: "Load the model again; read what the library printed last.",
    -32005: "Ask an administrator of the daemon ([security](security.md)).",
    -32006: "Use a runtime of one of the releases in `data.releases`.",
    -32800: "Nothing: the client cancelled it.",
    -32802: "Connect again when the daemon is back.",
}


def render(codes: Mapping[int, type[RPCError]], checks: Mapping[str, Callable[..., Any]]) -> str:
    """Make the page.

    :param codes: ``errors.BY_CODE``.
    :param checks: all of ``rkllm doctor``.
    """
    return "\n".join(_lines(codes, checks)).rstrip("\n") + "\n"


def _lines(
    codes: Mapping[int, type[RPCError]], checks: Mapping[str, Callable[..., Any]]
) -> Iterator[str]:
    yield INTRODUCTION
    for heading, symptoms in SYMPTOMS.items():
        yield f"## {heading}"
        yield ""
        rows = [(one.seen, one.means, one.remedy) for one in symptoms]
        yield from table(("what you see", "what it means", "what to do"), rows)
    yield "## Error codes"
    yield ""
    yield "[The wire](wire.md#errors) has the `data` of each."
    yield ""
    named = [(f"{code}", _first_line(cls), REMEDIES[code]) for code, cls in codes.items()]
    yield from table(("code", "what it means", "what to do"), named)
    yield "## What `rkllm doctor` checks"
    yield ""
    yield "In this order; mend the first finding first, as it may cause the others."
    yield ""
    looked = [(f"`{name}`", _first_line(check)) for name, check in checks.items()]
    yield from table(("check", "what it does"), looked)


def _first_line(documented: object) -> str:
    text = inspect.getdoc(documented) or ""
    return text.partition("\n")[0].partition(" ``data``")[0]
