"""Calls a method with txJSON-RPC's own netstring client.

usage: python txjsonrpc_call.py METHOD [PARAMETER as JSON …]
"""

import json
import os
import sys

from twisted.internet import reactor, task
from txjsonrpc import jsonrpclib
from txjsonrpc.netstring.jsonrpc import Proxy, QueryProtocol

# Twisted's netstrings have at most 99,999 bytes; rpc.discover, hidden states and logits have more.
QueryProtocol.MAX_LENGTH = 2**28


class UNIXProxy(Proxy):
    """A Proxy that connects to a UNIX socket, where txJSON-RPC's connects to a TCP port."""

    def __init__(self, path):
        # Its default version is older than JSON-RPC 1.0.
        super().__init__(path, None, version=jsonrpclib.VERSION_2)

    def callRemote(self, method, *args):
        """Call a method, and give a Deferred of the result."""
        factory = self.factoryClass(method, self.version, *args)
        reactor.connectUNIX(self.host, factory)
        return factory.deferred


async def main(_, method, *params):
    """Call and print."""
    proxy = UNIXProxy(os.environ.get("RKLLM_UDS_PATH", "/tmp/rkllm.sock"))
    try:
        print(json.dumps(await proxy.callRemote(method, *map(json.loads, params))))
    except jsonrpclib.Fault as fault:
        sys.exit(f"{fault.faultCode} {fault.faultString}")


task.react(main, sys.argv[1:])
