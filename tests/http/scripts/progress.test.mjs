import assert from "node:assert/strict";
import test from "node:test";
import { pause, Problem, problemOf } from "../../../rkllm_twisted/http/page/problems.js";
import { boardRows, figures, notes, phase, unreadTokens } from "../../../rkllm_twisted/http/page/progress.js";

const UNKNOWN = { loadSeconds: 0, promptRate: 0 };

test("a request that waits has its place", () => {
  const { text } = phase({ state: "running", place: 2, is_mine: false }, "m", 1, UNKNOWN, 10);
  assert.equal(text, "Waiting in the queue: place 2, after 2 others.");
});

test("a model that was loaded before has a share", () => {
  const known = { loadSeconds: 10, promptRate: 0 };
  const found = phase({ state: "loading" }, "qwen", 4, known, 10);
  assert.deepEqual(found, { text: "Loading qwen … 4 s", share: 0.4 });
});

test("reading the prompt is estimated from the speed of before, and never ends early", () => {
  const known = { loadSeconds: 0, promptRate: 100 };
  const daemon = { state: "running", is_mine: true, place: null };
  assert.equal(phase(daemon, "m", 1, known, 200).share, 0.5);
  assert.equal(phase(daemon, "m", 9, known, 200).share, 0.97);
  assert.equal(phase(daemon, "m", 9, UNKNOWN, 200).share, null);
});

test("only what follows the last answer is to be read", () => {
  const messages = [
    { role: "user", content: "x".repeat(400) },
    { role: "assistant", content: "y".repeat(400) },
    { role: "user", content: "z".repeat(40) },
  ];
  assert.equal(unreadTokens(messages), 10);
});

test("figures of a whole answer, and of one that was cut off", () => {
  const timings = { predicted_n: 20, predicted_per_second: 12.34, cache_n: 18, prompt_n: 24 };
  assert.equal(
    figures({ sent: 0, first: 320, last: 900 }, timings, 19),
    "first token after 320 ms · 20 tokens · 12.3 tokens/s · prompt 42 tokens, 18 of them cached",
  );
  assert.equal(figures({ sent: 0, first: 1500, last: 2500 }, null, 11), "first token after 1.5 s · 11 tokens · 10.0 tokens/s");
  assert.equal(figures({ sent: 0, first: 0, last: 0 }, null, 0), "");
});

test("what the service changed is said", () => {
  assert.equal(notes({ dropped_messages: 2, flattened: true }, "temperature").length, 3);
  assert.deepEqual(notes({ dropped_messages: 0, flattened: false }, ""), []);
});

test("a board has the rows that it reports", () => {
  const machine = { npu_load: [12, 0, 3], npu_hz: 1e9, celsius: 52.4, memory_total: 2 ** 34, memory_available: 2 ** 33 };
  assert.deepEqual(boardRows({ machine }).map((row) => row.text), ["12 %  0 %  3 % at 1000 MHz", "52 °C", "8.0 of 16.0 GiB"]);
  assert.deepEqual(boardRows({ machine: { npu_load: null, celsius: null, memory_total: null } }), []);
  assert.deepEqual(boardRows(null), []);
});

test("each bad day has its sentence and its end", () => {
  const of = (code, status = 503) => problemOf({ error: { code, message: "raw" } }, status, "7");
  assert.deepEqual([of("overloaded").wait, of("overloaded").retryAfter], ["later", 7]);
  for (const code of ["daemon_unavailable", "no_model", "runtime_crashed"]) assert.equal(of(code).wait, "ready");
  assert.equal(of("whatever", 401).wait, "key");
  assert.equal(of("body_too_large", 413).wait, null);
  assert.equal(of("body_too_large", 413).message, "raw");
  assert.equal(problemOf({ error: "Ollama's form" }, 500).message, "Ollama's form");
  assert.ok(new Problem("").message);
});

test("the pauses between tries grow and stay bearable", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 99].map(pause), [1, 2, 4, 8, 15, 15]);
});
