// What people write in a hurry: no newline out, and each 'data' event is taken for a whole message.
// Arguments: the socket, the model, a file to make after each piece of text. Prints what came.
"use strict";
const fs = require("fs");
const net = require("net");

const [path, model, go] = process.argv.slice(2);
const client = net.createConnection(path);
let onMessage;

client.on("data", (data) => onMessage(JSON.parse(data.toString())));

const request = (id, method, params) =>
  client.write(JSON.stringify({ jsonrpc: "2.0", id, method, params }));

function ask(id, method, params) {
  return new Promise((resolve) => {
    onMessage = resolve;
    request(id, method, params);
  });
}

function stream(id, params) {
  return new Promise((resolve) => {
    onMessage = ({ result }) => {
      console.log(JSON.stringify([result._callback_state, result.text]));
      if (result._callback_state >= 2) resolve();
      else fs.writeFileSync(`${go}${(stream.count += 1)}`, "");
    };
    request(id, "rkllm.run_async", params);
  });
}
stream.count = 0;

(async () => {
  const input = { role: "user", input_type: 0, prompt_input: "Hello. {\"in a string\": [" };
  console.log(JSON.stringify((await ask(1, "rkllm.init", [{ model_path: model }])).result));
  console.log(JSON.stringify((await ask("two", "server.ping")).result));
  await stream(3, [null, input, { mode: 0 }, null]);
  console.log(JSON.stringify((await ask(4, "rkllm.is_running")).result.is_running));
  client.end();
})();
