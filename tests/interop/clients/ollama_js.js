// ollama-js: prints what its user sees, as JSON.
"use strict";
const { Ollama } = require("ollama");

const asked = JSON.parse(process.argv[2]);
const reached = (key) =>
  new Ollama({ host: asked.address, headers: { Authorization: `Bearer ${key}` } });
const client = reached(asked.key);
const saying = (content) => [{ role: "user", content }];
const answer = (model, text, more = {}, through = client) =>
  through.chat({ model, messages: saying(text), ...more });
const text = async (call) => (await call).message.content;

async function refused(make) {
  try {
    await make();
  } catch (error) {
    return [error.status_code, "", error.error];
  }
}

async function broken() {
  const pieces = [];
  try {
    for await (const part of await answer("small", asked.failing, { stream: true })) {
      pieces.push(part.message.content);
    }
  } catch (error) {
    return [pieces.join(""), error.message];
  }
}

async function cancelled() {
  const stream = await answer("small", asked.endless, { stream: true });
  try {
    for await (const part of stream) if (part.message.content) stream.abort();
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
  return text(answer("small", asked.question));
}

async function tools() {
  const properties = { place: { type: "string", description: "where" } };
  const parameters = { type: "object", properties, required: ["place"] };
  const look = { type: "function", function: { name: "look", description: "Look.", parameters } };
  const messages = saying(asked.weather);
  const { message } = await client.chat({ model: "able", messages, tools: [look] });
  const [{ function: called }] = message.tool_calls;
  messages.push(message, { role: "tool", content: "sunny", tool_name: "look" });
  const last = await text(client.chat({ model: "able", messages, tools: [look] }));
  return [called.name, called.arguments, last];
}

async function main() {
  const { question } = asked;
  const parts = [];
  for await (const part of await answer("small", question, { stream: true })) parts.push(part);
  const { embeddings } = await client.embed({ model: "vectors", input: ["a", "b"] });
  const seen = {
    chat: await text(answer("small", question)),
    stream: parts.map((part) => part.message.content),
    count: parts.at(-1).eval_count,
    engine: await text(answer("tiny-pydocs-q8_0", asked.generator)),
    tools: await tools(),
    json: await refused(() => answer("small", question, { format: { type: "object" } })),
    embeddings: embeddings.map((one) => one.length),
    invalid: await refused(() => answer("small", question, { options: { temperature: 9 } })),
    missing: await refused(() => answer("missing", question)),
    key: await refused(() => answer("small", question, {}, reached("wrong-key"))),
    broken: await broken(),
    cancelled: await cancelled(),
    many: await Promise.all(asked.many.map((one) => text(answer("small", one)))),
    models: (await client.list()).models.map((one) => one.name),
    generate: (await client.generate({ model: "small", prompt: question })).response,
    loaded: (await client.ps()).models.map((one) => one.name),
    pull: (await client.pull({ model: "small" })).status,
  };
  console.log(JSON.stringify(seen));
}

main();
