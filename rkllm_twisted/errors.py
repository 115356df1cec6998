"""Every error that this package raises on purpose.

There are four trees. An :class:`RPCError` may reach a client: each class has its JSON-RPC code,
the message is one plain sentence that says what to do, ``data`` names the parameter or function.
:mod:`rkllm_twisted.rpc.dispatch` maps it to the wire, :data:`BY_CODE` back. An :class:`Unreachable`
keeps a client from an answer: there is no daemon, or no longer. A :class:`StartupError` keeps the
daemon from starting. Both are one sentence for the person at the terminal. An :class:`HTTPError` is
the HTTP service's answer; :mod:`rkllm_twisted.http.error_table` makes one of each of the others.

They are plain exceptions: importing attrs takes longer than a whole client.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar


class RPCError(Exception):
    """An error that a client gets as an answer.

    :param message: one plain sentence that says what is wrong and what to do.
    :param data: names the parameter, function or figure concerned; plain JSON values only.
    """

    code: ClassVar[int] = -32603

    def __init__(self, message: str, data: Mapping[str, object] | None = None) -> None:
        super().__init__(message, data)
        self.message = message
        self.data = data

    def __str__(self) -> str:
        return self.message


class ParseError(RPCError):
    """The bytes are not JSON (JSON-RPC 2.0, section 5.1)."""

    code = -32700


class InvalidRequest(RPCError):
    """The JSON is not a JSON-RPC 2.0 request."""

    code = -32600


class MethodNotFound(RPCError):
    """No plugin provides the method."""

    code = -32601

    @classmethod
    def named(cls, name: str, known: Collection[str], hint: str | None = None) -> MethodNotFound:
        """Make the error for a name, with the name that may be meant.

        :param known: the names of the methods.
        :param hint: what to do instead, for a name that other programs use.
        """
        shown = name[:100]
        perhaps = _perhaps(shown, known, hint)
        return cls(
            f"There is no method {shown!r}{perhaps}. rpc.discover, the command `rkllm methods` and"
            " docs/methods.md list those that there are.",
            {"method": shown},
        )


def _perhaps(shown: str, known: Collection[str], hint: str | None) -> str:
    """Return the part of the sentence that says which method may be meant."""
    import difflib  # noqa: PLC0415 - clients never get here

    close = [one for one in known if one.endswith(f".{shown}")]  # its group was forgotten
    if not close and hint is None:
        close = difflib.get_close_matches(shown, known, 1, 0.75)
    return f"; perhaps {close[0]} is meant" if close else f"; {hint}" if hint else ""


class InvalidParams(RPCError):
    """A parameter is missing, unknown, of the wrong type or out of range."""

    code = -32602


class InternalError(RPCError):
    """A fault of the daemon; the details are in its log, never in the message."""

    code = -32603


class RuntimeRefused(RPCError):
    """The runtime answered with a status other than 0. ``data``: function, status_code."""

    code = -32000


#: The reason in the data of a :class:`NoModel` for want of a vision encoder.
NO_ENCODER = "no_encoder"


class NoModel(RPCError):
    """The call needs a model, or a vision encoder, and none is loaded.

    ``data``: problem, after a crash; reason ``no_encoder``, if it is the encoder.
    """

    code = -32001

    @classmethod
    def after(
        cls,
        problem: str | None,
        remedy: str = "load one with rkllm.init, or by its name with models.load",
    ) -> NoModel:
        """Make the error.

        :param problem: how the runtime's process crashed, if that is why there is no model.
        :param remedy: what the client can do, if it can do something else.
        """
        because = "" if problem is None else f", because the runtime's process {problem}"
        data = None if problem is None else {"problem": problem}
        return cls(f"No model is loaded{because}; {remedy}.", data)


class Busy(RPCError):
    """The queue, or the connection's share of it, is full. ``data``: queue_length."""

    code = -32002


class TimedOut(RPCError):
    """The runtime did not answer within the time that the daemon's options allow."""

    code = -32003


class RuntimeCrashed(RPCError):
    """The process that holds the runtime died. ``data``: signal or exit code."""

    code = -32004


class NotAllowed(RPCError):
    """The client's user may not do this. ``data``: uid, method or parameter."""

    code = -32005

    @classmethod
    def administrative(cls, method: str, uid: int | None) -> NotAllowed:
        """Make the error for a method that is for administrators.

        :param uid: of the client.
        """
        return cls(
            f"{method} is for this daemon's administrators, and the user with uid {uid} is none;"
            " its options --admin-uid and --admin-gid say who is.",
            {"method": method},
        )


class NotInRelease(RPCError):
    """The loaded release of the runtime lacks the function. ``data``: function, releases."""

    code = -32006


class Cancelled(RPCError):
    """The request was cancelled, by its client or because the client left."""

    code = -32800


class ShuttingDown(RPCError):
    """The daemon is stopping and takes no new work."""

    code = -32802


class RemoteError(RPCError):
    """Client side: an error object whose code no class here has.

    :param remote_code: the code as it came.
    """

    def __init__(self, remote_code: int, message: str, data: object = None) -> None:
        super().__init__(message, data if isinstance(data, Mapping) else None)
        self.args = (remote_code, message, self.data)  # so that it can be copied and pickled
        self.code = remote_code  # type: ignore[misc]  # the only class whose code is the instance's


#: JSON-RPC code -> class, for clients. InternalError stands for the base class's code.
_CLASSES: tuple[type[RPCError], ...] = (
    *(ParseError, InvalidRequest, MethodNotFound, InvalidParams, InternalError, RuntimeRefused),
    *(NoModel, Busy, TimedOut, RuntimeCrashed, NotAllowed, NotInRelease, Cancelled, ShuttingDown),
)
BY_CODE: Mapping[int, type[RPCError]] = {cls.code: cls for cls in _CLASSES}


def error_from(body: object) -> RPCError:
    """Make the exception of a decoded error object."""
    match body:
        case {"code": int(code), "message": str(message), **rest}:
            data = rest.get("data")
        case _:
            return InternalError("The peer sent an error without a code or a message.")
    if code not in BY_CODE:
        return RemoteError(code, message, data)
    return BY_CODE[code](message, data if isinstance(data, Mapping) else None)


class Unreachable(ConnectionError):
    """Client side: there is no answer from a daemon; the text is one sentence that says what to do.

    The class itself is used if no other class here fits.
    """


class NoDaemon(Unreachable):
    """No process listens at the socket."""


class NoPermission(Unreachable):
    """The socket's permissions exclude this user."""


class NotADaemon(Unreachable):
    """The path is not a socket, or its process does not speak the daemon's protocol."""


class Disconnected(Unreachable):
    """The connection ended before the answer came."""


class NoAnswer(Unreachable, TimeoutError):
    """The answer did not come within the time that the client allows."""


class Closed(Unreachable):
    """The client was closed by its own program."""


class StartupError(Exception):
    """The daemon cannot start; the text is one sentence that says what to do."""


class LibraryError(StartupError):
    """librkllmrt is missing, is for another machine, or its release is in doubt."""


class PluginClash(StartupError):
    """Two different plugins provide the same method."""


class SocketError(StartupError):
    """The socket cannot be opened: in use, no such directory, path too long …"""


class HTTPError(Exception):
    """The HTTP service refuses a request, or could not answer it.

    :param status: the HTTP status.
    :param message: one plain sentence that says what is wrong and what to do.
    :param kind: the kind of error, in the words of OpenAI's API.
    :param code: a word for programs, such as ``model_not_found``; None if there is none.
    :param param: the field of the request that is wrong; None if it is no single one.
    :param retry_after: seconds after which another try may succeed; None if it is not known.
    :param should_retry: False if another try would fail, too, or only add work; None to leave that
        to the client.
    :param headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = "invalid_request_error",
        code: str | None = None,
        *,
        param: str | None = None,
        retry_after: int | None = None,
        should_retry: bool | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.should_retry = should_retry
        self.headers = headers or {}

    def __str__(self) -> str:
        return self.message
