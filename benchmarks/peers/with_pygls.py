"""pygls's JSON-RPC on a UNIX socket, served as its own start_tcp serves TCP."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from threading import Event

from pygls.io_ import run_async
from pygls.protocol import JsonRPCProtocol, default_converter
from pygls.server import JsonRPCServer

CONVERTER = default_converter()


def server_of_one() -> JsonRPCServer:
    """A pygls server has one client, so each connection gets a server."""
    server = JsonRPCServer(JsonRPCProtocol, lambda: CONVERTER)

    @server.feature("server.ping")
    def ping(*_: object) -> str:
        return "pong"

    return server


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection."""
    server = server_of_one()
    server.protocol.set_writer(writer)
    with contextlib.suppress(ConnectionError):
        await run_async(stop_event=Event(), reader=reader, protocol=server.protocol)
    writer.close()


async def main() -> None:
    """Serve for ever."""
    server = await asyncio.start_unix_server(serve, sys.argv[1], backlog=1024, limit=2**24)
    await server.serve_forever()


asyncio.run(main())
