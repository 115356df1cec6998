import assert from "node:assert/strict";
import test from "node:test";
import { EventParser } from "../../../rkllm_twisted/http/page/sse.js";

const STREAM = ': prefill\n\ndata: {"a":1}\n\nevent: x\ndata: one\r\ndata:two\r\n\r\ndata: [DONE]\n\n';
const EVENTS = ['{"a":1}', "one\ntwo", "[DONE]"];

test("a whole stream", () => {
  assert.deepEqual(new EventParser().feed(STREAM), EVENTS);
});

test("letter by letter", () => {
  const parser = new EventParser();
  assert.deepEqual([...STREAM].flatMap((letter) => parser.feed(letter)), EVENTS);
});

test("cut at each place", () => {
  for (let at = 0; at <= STREAM.length; at += 1) {
    const parser = new EventParser();
    assert.deepEqual([...parser.feed(STREAM.slice(0, at)), ...parser.feed(STREAM.slice(at))], EVENTS);
  }
});

test("an event without its end is not one", () => {
  assert.deepEqual(new EventParser().feed("data: half"), []);
});
