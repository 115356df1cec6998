"""A fake daemon as a JSON file, for programs in other languages.

{
  "model": "model.rkllm",
  "answers": {"Hello": "Hi there", "Once": {"text": "Once upon", "then": "crash"}},
  "matching": {"weather|rain": ["It rains.", "It still rains."]},
  "default": "I do not know.",
  "faults": {"rkllm.init": [{"code": -32000, "message": "rkllm_init returned -1."}, null]},
  "options": ["--queue", "1"],
  "release": "1.3.0"
}

Every member may be left out. The keys of ``matching`` are regular expressions. A reply is a text, a
list of replies, one for each run, or an object with the members of :class:`ScriptReply`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from rkllm_twisted.errors import BY_CODE, RemoteError, RPCError, StartupError
from rkllm_twisted.testing.answers import Answer, Crash, Disconnect, End, Fault, Hang
from rkllm_twisted.testing.daemon import FakeDaemon

#: The names that ``then`` may be.
ENDS: Mapping[str, Callable[[], End | Fault]] = {
    "finish": lambda: End.FINISH,
    "error": lambda: End.ERROR,
    "silent": lambda: End.SILENT,
    "crash": Crash,
    "hang": Hang,
    "disconnect": Disconnect,
}


class ScriptError(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON-RPC error that answers a call."""

    code: int
    message: str
    data: dict[str, Any] | None = None

    def exception(self) -> RPCError:
        """Return it as an exception."""
        known = BY_CODE.get(self.code)
        if known is None:
            return RemoteError(self.code, self.message, self.data)
        return known(self.message, self.data)


class ScriptReply(msgspec.Struct, forbid_unknown_fields=True):
    """See :class:`~rkllm_twisted.testing.answers.Answer`.

    ``text`` is split into tokens; ``parts`` are tokens, or members of an RKLLMResult. ``then`` is
    finish, error, silent, crash, hang, disconnect, or a JSON-RPC error.
    """

    text: str = ""
    parts: list[str | dict[str, Any]] | None = None
    then: str | ScriptError = "finish"
    endless: bool = False
    delay: float = 0.0


class Script(msgspec.Struct, forbid_unknown_fields=True):
    """The whole file."""

    answers: dict[str, Any] = {}
    matching: dict[str, Any] = {}
    default: Any = "Hello world"
    faults: dict[str, Any] = {}
    model: str | None = None
    kind: str | None = None
    options: list[str] = []
    release: str = "1.3.0"


def read_script(path: Path, **more: Any) -> FakeDaemon:
    """Return the daemon that a file describes.

    :param more: further parameters of :class:`FakeDaemon`.
    :raises StartupError: if the file cannot be read or is wrong; the sentence says where.
    """
    try:
        script = msgspec.json.decode(path.read_bytes(), type=Script)
        answers: dict[Any, Any] = {prompt: _reply(r) for prompt, r in script.answers.items()}
        answers |= {re.compile(pattern): _reply(r) for pattern, r in script.matching.items()}
        faults = {method: _fault(given) for method, given in script.faults.items()}
        default = _reply(script.default)
    except (OSError, msgspec.DecodeError, ValueError, re.error) as error:
        raise StartupError(f"The script {path} cannot be used: {error}.") from None
    return FakeDaemon(
        answers,
        default,
        faults=faults,
        model=script.model,
        kind=script.kind,
        options=script.options,
        release=script.release,
        **more,
    )


def _reply(given: Any) -> Any:
    if isinstance(given, str):
        return given
    if isinstance(given, list):
        return [_reply(one) for one in given]
    reply = msgspec.convert(given, ScriptReply)
    parts = reply.text if reply.parts is None else reply.parts
    return Answer(parts, _then(reply.then), reply.endless, reply.delay)


def _fault(given: Any) -> Any:
    if given is None:
        return None
    if isinstance(given, list):
        return [_fault(one) for one in given]
    return _then(msgspec.convert(given, str | ScriptError))


def _then(given: str | ScriptError) -> Any:
    if isinstance(given, ScriptError):
        return given.exception()
    if given not in ENDS:
        raise ValueError(f"{given!r} is not one of {', '.join(ENDS)}")
    return ENDS[given]()
