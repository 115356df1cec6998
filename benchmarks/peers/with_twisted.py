"""Twisted's upper bound: a NetstringReceiver that decodes JSON, encodes it and sends it back.

It checks nothing and looks up no method. ``json`` is Python's own; the daemon uses ``msgspec``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from twisted.internet import reactor as installed_reactor
from twisted.internet.protocol import Factory
from twisted.protocols.basic import NetstringReceiver

reactor: Any = installed_reactor  # its type depends on the platform
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
CODECS: Mapping[str, tuple[Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    "json": (json.loads, lambda value: _encode(value).encode()),
    "msgspec": (msgspec.json.Decoder().decode, msgspec.json.Encoder().encode),
}
decode, encode = CODECS[sys.argv[2]]


class Echo(NetstringReceiver):
    """Send each message back."""

    MAX_LENGTH = 64 * 1024 * 1024

    def stringReceived(self, string: bytes) -> None:
        """Decode, encode, send."""
        self.sendString(encode(decode(string)))


reactor.listenUNIX(sys.argv[1], Factory.forProtocol(Echo), backlog=1024)
reactor.run()
