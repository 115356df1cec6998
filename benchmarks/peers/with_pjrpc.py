"""pjrpc in aiohttp: JSON-RPC over HTTP on a UNIX socket."""

from __future__ import annotations

import sys

from aiohttp import web
from pjrpc.server import MethodRegistry
from pjrpc.server.integration.aiohttp import Application

methods = MethodRegistry()


@methods.add("server.ping")
async def ping() -> str:
    """Answer the ping."""
    return "pong"


application = Application("/")
application.add_methods(methods)
web.run_app(application.http_app, path=sys.argv[1], backlog=1024, print=None, access_log=None)
