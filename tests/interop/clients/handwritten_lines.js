// What people write without a library: a line out for each request, lines in.
// Arguments: the socket, the model, prompts. Prints each prompt's text and its last state.
"use strict";
const net = require("net");

const [path, model, ...prompts] = process.argv.slice(2);
const waiting = new Map();
let id = 0;
let rest = "";

const client = net.createConnection(path);
client.setEncoding("utf8");

client.on("data", (chunk) => {
  const lines = (rest + chunk).split("\n");
  rest = lines.pop();
  for (const line of lines) {
    if (!line.trim()) continue;
    const response = JSON.parse(line);
    waiting.get(response.id)(response);
  }
});

function request(method, params, onResponse) {
  id += 1;
  waiting.set(id, onResponse);
  client.write(JSON.stringify({ jsonrpc: "2.0", method, params, id }) + "\n");
}

function ask(prompt) {
  return new Promise((resolve, reject) => {
    let text = "";
    const input = { role: "user", enable_thinking: false, input_type: 0, prompt_input: prompt };
    const infer = { mode: 0, lora_params: null, prompt_cache_params: null, keep_history: 0 };
    request("rkllm.run_async", [null, input, infer, null], ({ result, error }) => {
      if (error) return reject(new Error(error.message));
      if (result._callback_state === 0) text += result.text;
      if (result._callback_state >= 2) resolve({ text, state: result._callback_state });
    });
  });
}

request("rkllm.init", [null, { model_path: model }, null], async ({ error }) => {
  if (error) throw new Error(error.message);
  for (const answer of await Promise.all(prompts.map(ask))) console.log(JSON.stringify(answer));
  client.end();
});
