// Streams an answer in Node with a JSON-RPC library; Ctrl-C cancels the run, and only this one.
// usage: npm install vscode-jsonrpc; node vscode_jsonrpc.js MODEL PROMPT
"use strict";
const net = require("net");
const readline = require("readline");
const rpc = require("vscode-jsonrpc/node");

// The library's own framing is HTTP's; the daemon takes lines as well.
class LineReader extends rpc.AbstractMessageReader {
  constructor(socket) {
    super();
    this.socket = socket;
  }
  listen(callback) {
    readline.createInterface({ input: this.socket }).on("line", (line) => callback(JSON.parse(line)));
    this.socket.on("error", (error) => this.fireError(error));
    this.socket.on("close", () => this.fireClose());
    return rpc.Disposable.create(() => this.socket.destroy());
  }
}

class LineWriter extends rpc.AbstractMessageWriter {
  constructor(socket) {
    super();
    this.socket = socket;
  }
  async write(message) {
    this.socket.write(JSON.stringify(message) + "\n");
  }
  end() {
    this.socket.end();
  }
}

async function main(model, prompt) {
  const path = process.env.RKLLM_UDS_PATH || "/tmp/rkllm.sock";
  const socket = net.connect(path);
  const connection = rpc.createMessageConnection(new LineReader(socket), new LineWriter(socket));
  const cancel = new rpc.CancellationTokenSource();
  const closed = new Promise((_, reject) => {
    connection.onError(([error]) => reject(new Error(`${path}: ${error.message}`)));
    connection.onClose(() => reject(new Error("The daemon has closed the connection.")));
  });
  process.on("SIGINT", () => cancel.cancel());
  // Libraries take one response for each request, so ask for notifications in between.
  connection.onNotification("rkllm.result", ({ result }) => {
    if (result._callback_state === 0) process.stdout.write(result.text || "");
  });
  connection.listen();
  const call = (method, params) =>
    Promise.race([connection.sendRequest(method, params, cancel.token), closed]);
  await call("server.configure", { stream: "notifications" });
  // Loading takes long and clears every history, so load only a model that is not loaded.
  const status = await call("server.status", {});
  if (status.model_path !== model) await call("rkllm.init", { param: { model_path: model } });
  const input = { role: "user", prompt_input: prompt };
  const final = await call("rkllm.run_async", { rkllm_input: input });
  if (final._callback_state === 3) throw new Error("The run has failed.");
  console.log();
  connection.dispose();
  socket.end();
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exit(1);
});
