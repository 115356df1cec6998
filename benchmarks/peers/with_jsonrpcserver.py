"""jsonrpcserver on a UNIX socket: it dispatches, asyncio's streams carry lines."""

from __future__ import annotations

import asyncio
import sys

from jsonrpcserver import Result, Success, async_dispatch, method


@method(name="server.ping")  # type: ignore[misc]
async def ping() -> Result:
    """Answer the ping."""
    return Success("pong")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection."""
    try:
        while line := await reader.readline():
            answer = await async_dispatch(line.decode())
            if answer:
                writer.write(answer.encode() + b"\n")
                await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main() -> None:
    """Serve for ever."""
    server = await asyncio.start_unix_server(serve, sys.argv[1], backlog=1024, limit=2**24)
    await server.serve_forever()


asyncio.run(main())
