// Streams an answer in Node: netstrings over the UNIX socket, and no package.
// usage: node netstrings.js MODEL PROMPT
"use strict";
const net = require("net");

const [model, prompt] = process.argv.slice(2);
const path = process.env.RKLLM_UDS_PATH || "/tmp/rkllm.sock";
const waiting = new Map(); // id -> what takes the responses
let buffer = Buffer.alloc(0);
let lastId = 0;

const socket = net.connect(path);
socket.on("error", (error) => fail(`${path}: ${error.message}`));
socket.on("close", () => waiting.size && fail("The daemon has closed the connection."));

socket.on("data", (data) => {
  buffer = Buffer.concat([buffer, data]);
  for (;;) {
    const colon = buffer.indexOf(":");
    const end = colon + 1 + Number(buffer.subarray(0, Math.max(colon, 0)).toString());
    if (colon < 0 || buffer.length <= end) return; // not whole yet, or without its comma
    received(JSON.parse(buffer.subarray(colon + 1, end).toString()));
    buffer = buffer.subarray(end + 1);
  }
});

function received({ id, result, error }) {
  if (error) fail(error.message);
  else waiting.get(id)(result);
}

function request(method, params, onResult) {
  waiting.set((lastId += 1), onResult);
  const payload = Buffer.from(JSON.stringify({ jsonrpc: "2.0", id: lastId, method, params }));
  socket.write(Buffer.concat([Buffer.from(`${payload.length}:`), payload, Buffer.from(",")]));
}

function fail(message) {
  console.error(message);
  process.exit(1);
}

request("server.status", {}, (status) => {
  // Loading takes long and clears every history, so load only a model that is not loaded.
  if (status.model_path === model) ask();
  else request("rkllm.init", { param: { model_path: model } }, ask);
});

function ask() {
  // Each token is a response with the request's id; state 2 or 3 is the last one's.
  request("rkllm.run_async", { rkllm_input: { role: "user", prompt_input: prompt } }, (result) => {
    if (result._callback_state === 0) process.stdout.write(result.text || "");
    if (result._callback_state === 3) fail("The run has failed.");
    if (result._callback_state === 2) {
      waiting.clear();
      socket.end();
      console.log();
    }
  });
}
