// json-rpc-2.0: its notifications come in on the server half.
"use strict";
const { JSONRPCClient, JSONRPCServer, JSONRPCServerAndClient } = require("json-rpc-2.0");
const { drive } = require("./driven");

drive((send, notified) => {
  let id = 0;
  const client = new JSONRPCClient(send, () => `call ${(id += 1)}`);
  const peer = new JSONRPCServerAndClient(new JSONRPCServer(), client);
  peer.addMethod("rkllm.result", notified);
  return {
    receive: (message) => peer.receiveAndSend(message),
    call(method, params) {
      const answer = peer.request(method, params);
      const cancelled = { id: `call ${id}` };
      return { answer, cancel: () => peer.notify("$/cancelRequest", cancelled) };
    },
  };
});
