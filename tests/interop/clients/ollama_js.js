// ollama-js: prints what its user sees, as JSON.
"use strict";
const { Ollama } = require("ollama");

async function main() {
  const [address, model, question] = process.argv.slice(2);
  const client = new Ollama({ host: address });
  const messages = [{ role: "user", content: question }];
  const stream = [];
  for await (const part of await client.chat({ model, messages, stream: true })) {
    stream.push(part.message.content);
  }
  const seen = {
    models: (await client.list()).models.map((one) => one.name),
    chat: (await client.chat({ model, messages })).message.content,
    stream,
    generate: (await client.generate({ model, prompt: question })).response,
    count: (await client.chat({ model, messages })).eval_count,
    loaded: (await client.ps()).models.map((one) => one.name),
    pull: (await client.pull({ model })).status,
  };
  try {
    await client.chat({ model: "missing", messages });
  } catch (error) {
    seen.missing = [error.status_code, error.error];
  }
  console.log(JSON.stringify(seen));
}

main();
