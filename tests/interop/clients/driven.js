// Lets a test drive a JSON-RPC library: orders come in on stdin, what happens goes out on stdout.
"use strict";
const readline = require("node:readline");
const link = require("./link");

const tell = (event) => process.stdout.write(JSON.stringify(event) + "\n");
const heading = ({ id, method }) => ({ id, method });

// makePeer(send, notified) gives {receive(message), call(method, params)}; a call gives
// {answer: a promise, cancel()}.
function drive(makePeer) {
  const [path, framing] = process.argv.slice(2);
  const calls = {};
  const socket = link.open(path, framing, (message) => {
    tell({ event: "arrived", ...heading(message) });
    peer.receive(message);
  });
  const send = (message) => {
    tell({ event: "sent", ...heading(message) });
    socket.send(message);
  };
  const peer = makePeer(send, (params) => tell({ event: "notified", params }));

  function call(name, method, params) {
    calls[name] = peer.call(method, params);
    calls[name].answer.then(
      (value) => tell({ event: "result", call: name, value }),
      ({ constructor, code, message, data }) =>
        tell({ event: "error", call: name, kind: constructor.name, code, message, data }),
    );
  }

  readline
    .createInterface({ input: process.stdin })
    .on("line", (line) => {
      const order = JSON.parse(line);
      if ("cancel" in order) calls[order.cancel].cancel();
      else call(order.call, order.method, order.params);
    })
    .on("close", socket.end);
}

module.exports = { drive };
