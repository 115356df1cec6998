// vscode-jsonrpc: cancels by itself, with $/cancelRequest.
"use strict";
const rpc = require("vscode-jsonrpc/node");
const { drive } = require("./driven");

class Reader extends rpc.AbstractMessageReader {
  listen(callback) {
    this.receive = callback;
    return rpc.Disposable.create(() => {});
  }
}

class Writer extends rpc.AbstractMessageWriter {
  constructor(send) {
    super();
    this.send = send;
  }
  async write(message) {
    this.send(message);
  }
  end() {}
}

drive((send, notified) => {
  const reader = new Reader();
  const connection = rpc.createMessageConnection(reader, new Writer(send));
  connection.onNotification("rkllm.result", notified);
  connection.listen();
  return {
    receive: (message) => reader.receive(message),
    call(method, params) {
      const source = new rpc.CancellationTokenSource();
      const given = Array.isArray(params) ? params : [params];
      return {
        answer: connection.sendRequest(method, ...given, source.token),
        cancel: () => source.cancel(),
      };
    },
  };
});
