"""JSON-RPC 2.0 messages: values to bytes. Pure."""

from __future__ import annotations

from rkllm_twisted.errors import RPCError
from rkllm_twisted.wire.encoding import encode


def response(raw_id: bytes, result: bytes) -> bytes:
    """Write the answer of a call that went well.

    :param raw_id: the id's JSON text.
    :param result: JSON text, see :func:`rkllm_twisted.wire.encoding.encode`.
    """
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (raw_id, result)


def error(raw_id: bytes | None, failed: RPCError) -> bytes:
    """Write the answer of a call that did not.

    :param raw_id: the id's JSON text; None where it could not be read.
    """
    body: dict[str, object] = {"code": failed.code, "message": failed.message}
    if failed.data is not None:
        body["data"] = failed.data
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (raw_id or b"null", encode(body))


def request(request_id: object, method: str, params: object = None, floats: str = "json") -> bytes:
    """Write a call that is to be answered.

    :param floats: the form of float arrays in the params, see
        :func:`rkllm_twisted.wire.encoding.encode`.
    """
    message = {"jsonrpc": "2.0", "id": request_id, "method": method}
    return encode(message if params is None else {**message, "params": params}, floats)


def notification(method: str, params: object = None) -> bytes:
    """Write a call that is not to be answered."""
    message = {"jsonrpc": "2.0", "method": method}
    return encode(message if params is None else {**message, "params": params})


def batch(messages: list[bytes]) -> bytes:
    """Write several messages as one."""
    return b"[%b]" % b",".join(messages)
