// A UNIX socket that carries whole JSON-RPC messages, in lines or in netstrings.
"use strict";
const net = require("node:net");

const FRAMES = {
  lines: (payload) => Buffer.concat([payload, Buffer.from("\n")]),
  netstrings: (payload) => Buffer.concat([Buffer.from(`${payload.length}:`), payload, Buffer.from(",")]),
};

// Each gives where the first payload of a buffer begins and ends and where the next frame begins.
const CUTS = {
  lines(buffer) {
    const end = buffer.indexOf("\n");
    return end < 0 ? null : [0, end, end + 1];
  },
  netstrings(buffer) {
    const begin = buffer.indexOf(":") + 1;
    if (begin === 0) return null;
    const end = begin + Number(buffer.subarray(0, begin - 1).toString());
    return buffer.length <= end ? null : [begin, end, end + 1];
  },
};

function open(path, framing, received) {
  const socket = net.connect(path);
  let buffer = Buffer.alloc(0);
  socket.on("data", (data) => {
    buffer = Buffer.concat([buffer, data]);
    for (let cut; (cut = CUTS[framing](buffer)); buffer = buffer.subarray(cut[2])) {
      received(JSON.parse(buffer.subarray(cut[0], cut[1]).toString()));
    }
  });
  return {
    send: (message) => socket.write(FRAMES[framing](Buffer.from(JSON.stringify(message)))),
    end: () => socket.destroy(),
  };
}

module.exports = { open };
