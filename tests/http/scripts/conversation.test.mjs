import assert from "node:assert/strict";
import test from "node:test";
import {
  add, exported, imported, newConversation, path, request, show, siblings, titleOf,
} from "../../../rkllm_twisted/http/page/conversation.js";

let clock = 0;
const message = (id, role, content) => ({
  id, role, content, created: (clock += 1), images: [], reasoning: "", calls: [], callId: "", model: "",
  end: "stop", problem: "", notes: [], figures: "",
});
const ids = (conversation) => path(conversation).map((one) => one.id);

function example() {
  const conversation = newConversation("c", 1);
  add(conversation, message("q1", "user", "One?"));
  add(conversation, message("a1", "assistant", "1"));
  add(conversation, message("q2", "user", "Two?"));
  add(conversation, message("a2", "assistant", "2"));
  return conversation;
}

test("the path goes from the first message to the last", () => {
  assert.deepEqual(ids(example()), ["q1", "a1", "q2", "a2"]);
});

test("an edited question stands beside the old one", () => {
  const conversation = example();
  add(conversation, message("q3", "user", "Edited?"), "a1");
  assert.deepEqual(ids(conversation), ["q1", "a1", "q3"]);
  assert.deepEqual(siblings(conversation, "q3"), ["q2", "q3"]);
  show(conversation, "q2");
  assert.deepEqual(ids(conversation), ["q1", "a1", "q2", "a2"]);
});

test("a request has what comes before the answer, and the system prompt", () => {
  const conversation = example();
  conversation.system = "Be brief.";
  assert.deepEqual(
    request(conversation, "a2").map(({ role, content }) => [role, content]),
    [["system", "Be brief."], ["user", "One?"], ["assistant", "1"], ["user", "Two?"]],
  );
});

test("an answer that failed is not sent", () => {
  const conversation = newConversation("c", 1);
  add(conversation, message("q", "user", "One?"));
  add(conversation, message("a", "assistant", ""));
  add(conversation, message("q2", "user", "Still there?"));
  assert.deepEqual(request(conversation, "").map((one) => one.role), ["user", "user"]);
});

test("calls and their results are sent in OpenAI's form", () => {
  const conversation = newConversation("c", 1);
  const call = { id: "call_1", name: "time", arguments: "{}" };
  add(conversation, { ...message("a", "assistant", ""), calls: [call], reasoning: "Hm." });
  add(conversation, { ...message("t", "tool", "noon"), callId: "call_1" });
  assert.deepEqual(request(conversation, ""), [
    {
      role: "assistant", content: "", reasoning_content: "Hm.",
      tool_calls: [{ id: "call_1", type: "function", function: { name: "time", arguments: "{}" } }],
    },
    { role: "tool", content: "noon", tool_call_id: "call_1" },
  ]);
});

test("what is exported can be imported", () => {
  const conversation = example();
  assert.deepEqual(imported(exported([conversation])), [conversation]);
});

test("foreign files are refused with a sentence", () => {
  for (const text of ["", "{", "[]", '{"format": "other"}', '{"format": "rkllm-chat", "conversations": [{}]}']) {
    assert.throws(() => imported(text), /\.$/, text);
  }
});

test("an imported file cannot bring what is not known", () => {
  const wild = {
    format: "rkllm-chat",
    conversations: [{
      id: "x", title: 7, leaf: "__proto__", messages: [
        { id: "a", role: "assistant", parent: "b", content: { toString: 1 }, calls: [null], extra: 1 },
        { id: "b", role: "user", parent: "a", content: "in a circle" },
        { id: "__proto__", role: "user" }, { id: "c", role: "system" }, null, 3,
      ],
    }],
  };
  const [found] = imported(JSON.stringify(wild));
  assert.deepEqual(Object.keys(found.messages), ["a", "b"]);
  assert.equal(found.leaf, null);
  assert.equal(found.messages.a.content, "");
  assert.equal("extra" in found.messages.a, false);
  for (const id of ["a", "b"]) {
    found.leaf = id;
    assert.ok(path(found).length <= 2); // it ends
  }
});

test("a title is the beginning of the question", () => {
  assert.equal(titleOf("  What\nis it? "), "What is it?");
  assert.equal([...titleOf("😀".repeat(100))].length, 60);
});

const IMAGE = "data:image/png;base64,AAAA";

test("images are sent as parts before the text", () => {
  const conversation = newConversation("c", 1);
  add(conversation, { ...message("q", "user", "What?"), images: [IMAGE] });
  add(conversation, message("a", "assistant", ""));
  assert.deepEqual(request(conversation, "a")[0].content, [
    { type: "image_url", image_url: { url: IMAGE } },
    { type: "text", text: "What?" },
  ]);
});

test("an imported file brings images only, and no addresses", () => {
  const conversation = newConversation("c", 1);
  const images = [IMAGE, "http://a.example/b.png", "data:image/svg+xml;base64,AAAA", 1];
  add(conversation, { ...message("q", "user", ""), images });
  const [found] = imported(exported([conversation]));
  assert.deepEqual(found.messages.q.images, [IMAGE]);
  assert.equal(found.title, "Image");
});
