// jayson on a UNIX socket: its own stream server, JSON one per line.
"use strict";

const jayson = require("jayson");

const methods = { "server.ping": (_params, done) => done(null, "pong") };
const server = new jayson.Server(methods).tcp();
server.on("connection", (socket) => socket.on("error", () => socket.destroy()));
server.listen({ path: process.argv[2], backlog: 1024 });
