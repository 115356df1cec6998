// vscode-jsonrpc on a UNIX socket: the library of the Language Server Protocol.
"use strict";

const net = require("net");
const rpc = require("vscode-jsonrpc/node");

net
  .createServer((socket) => {
    const connection = rpc.createMessageConnection(
      new rpc.SocketMessageReader(socket),
      new rpc.SocketMessageWriter(socket),
    );
    connection.onRequest("server.ping", () => "pong");
    connection.onError(() => connection.dispose());
    connection.listen();
  })
  .listen({ path: process.argv[2], backlog: 1024 });
