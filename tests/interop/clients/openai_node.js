// openai-node: prints what its user sees, as JSON.
"use strict";
const OpenAI = require("openai");

const asked = JSON.parse(process.argv[2]);
const reached = (apiKey) =>
  new OpenAI({ baseURL: `${asked.address}/v1`, apiKey, maxRetries: 0 });
const client = reached(asked.key);
const saying = (content) => [{ role: "user", content }];
const answer = (model, text, more = {}, through = client) =>
  through.chat.completions.create({ model, messages: saying(text), ...more });
const text = async (call) => (await call).choices[0].message.content;

async function refused(make) {
  try {
    await make();
  } catch (error) {
    return [error.status, error.param || error.code, error.error.message];
  }
}

async function broken() {
  const pieces = [];
  try {
    for await (const chunk of await answer("small", asked.failing, { stream: true })) {
      pieces.push(chunk.choices[0].delta.content || "");
    }
  } catch (error) {
    return [pieces.join(""), error.message];
  }
}

async function cancelled() {
  // To leave the loop closes the connection.
  for await (const chunk of await answer("small", asked.endless, { stream: true })) {
    if (chunk.choices[0].delta.content) break;
  }
  return text(answer("small", asked.question));
}

async function tools() {
  const parameters = { type: "object", properties: { place: { type: "string" } } };
  const look = { type: "function", function: { name: "look", description: "Look.", parameters } };
  const messages = saying(asked.weather);
  const options = { model: "able", tools: [look] };
  const stream = client.chat.completions.stream({ messages, ...options });
  const { message } = (await stream.finalChatCompletion()).choices[0];
  const [call] = message.tool_calls;
  messages.push(message, { role: "tool", tool_call_id: call.id, content: "sunny" });
  const last = await text(client.chat.completions.create({ messages, ...options }));
  return [call.function.name, JSON.parse(call.function.arguments), last];
}

async function main() {
  const { question } = asked;
  const chunks = [];
  const usage = { stream: true, stream_options: { include_usage: true } };
  for await (const chunk of await answer("small", question, usage)) chunks.push(chunk);
  const schema = { name: "one", schema: { type: "object" } };
  const form = { response_format: { type: "json_schema", json_schema: schema } };
  const vectors = await client.embeddings.create({ model: "vectors", input: ["a", "b"] });
  const seen = {
    chat: await text(answer("small", question)),
    stream: chunks.filter((one) => one.choices.length).map((one) => one.choices[0].delta.content),
    count: chunks.at(-1).usage.completion_tokens,
    engine: await text(answer("tiny-pydocs-q8_0", asked.generator)),
    tools: await tools(),
    json: await refused(() => answer("small", question, form)),
    embeddings: vectors.data.map((one) => one.embedding.length),
    invalid: await refused(() => answer("small", question, { temperature: 9 })),
    missing: await refused(() => answer("missing", question)),
    key: await refused(() => answer("small", question, {}, reached("wrong-key"))),
    broken: await broken(),
    cancelled: await cancelled(),
    many: await Promise.all(asked.many.map((one) => text(answer("small", one)))),
    models: (await client.models.list()).data.map((one) => one.id),
  };
  console.log(JSON.stringify(seen));
}

main();
