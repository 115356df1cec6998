// A connection for each request, JSON text and a newline out; what comes in is tried as one JSON
// text until it is one, and a stream is split by line. Arguments: the socket, the model.
"use strict";
const net = require("net");

const [path, model] = process.argv.slice(2);
let id = 0;

function connect(method, params, received) {
  return new Promise((resolve, reject) => {
    const client = net.createConnection(path, () => {
      client.write(JSON.stringify({ jsonrpc: "2.0", id: (id += 1), method, params }) + "\n");
    });
    const done = (value) => {
      client.end();
      resolve(value);
    };
    let text = "";
    client.on("data", (data) => received((text += data.toString()), done));
    client.on("error", reject);
  });
}

const ask = (method, params) =>
  connect(method, params, (text, done) => {
    let response;
    try {
      response = JSON.parse(text);
    } catch {
      return; // not all there yet
    }
    done(response);
  });

const stream = (params) =>
  connect("rkllm.run_async", params, (text, done) => {
    const responses = text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
    const [last] = responses.slice(-1);
    if (last && last.result._callback_state === 2) done(responses);
  });

(async () => {
  const param = { model_path: model, max_context_len: 512, max_new_tokens: 256, temperature: 0.8 };
  const input = { input_type: 0, prompt_input: "Hello, how are you today?" };
  const infer = { mode: 0, keep_history: 1 };
  const told = [
    await ask("rkllm.init", [param]),
    await ask("rkllm.init", [null, param, null]),
    await ask("rkllm.createDefaultParam", []),
    await ask("rkllm.get_constants"),
    await ask("rkllm.run", [null, input, infer, null]),
    ...(await stream([null, input, infer, null])),
    await ask("rkllm.is_running", [null]),
    await ask("rkllm.clear_kv_cache", [null, 0, null, null]),
    await ask("rkllm.load_lora", [{ lora_adapter_path: "/none", lora_adapter_name: "x", scale: 1.0 }]),
    await ask("rkllm.destroy", [null]),
  ];
  for (const response of told) console.log(JSON.stringify(response));
})();
