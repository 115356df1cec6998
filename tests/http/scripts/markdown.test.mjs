import assert from "node:assert/strict";
import test from "node:test";
import { inline, parse, safeAddress } from "../../../rkllm_twisted/http/page/markdown.js";

const types = (text) => parse(text).map((block) => block.type);
const plain = (pieces) =>
  pieces.map((piece) => piece.text ?? (piece.children ? plain(piece.children) : "\n")).join("");

test("paragraphs are separated by empty lines", () => {
  assert.deepEqual(types("one\ntwo\n\nthree"), ["paragraph", "paragraph"]);
});

test("a heading", () => {
  const [block] = parse("## Two words ##");
  assert.deepEqual([block.type, block.level, plain(block.children)], ["heading", 2, "Two words"]);
});

test("a fence keeps its text as it is", () => {
  const [block] = parse("```python x\n# <b>no heading</b>\n\n  1\n```\nafter");
  assert.deepEqual([block.language, block.text], ["python", "# <b>no heading</b>\n\n  1"]);
});

test("a fence that has no end yet is code", () => {
  assert.deepEqual(parse("a\n\n~~~\nx = 1").map((block) => block.text), [undefined, "x = 1"]);
});

test("a longer fence holds a shorter one", () => {
  assert.equal(parse("````\n```\nx\n```\n````")[0].text, "```\nx\n```");
});

test("nested lists", () => {
  const [list] = parse("- a\n  - b\n  - c\n- d");
  assert.equal(list.items.length, 2);
  assert.equal(list.items[0][1].items.length, 2);
});

test("an ordered list keeps its first number, and code in it", () => {
  const [list] = parse("3. a\n   ```\n   x\n   ```\n4. b");
  assert.deepEqual([list.ordered, list.start, list.items.length], [true, 3, 2]);
  assert.equal(list.items[0][1].text, "x");
});

test("a table", () => {
  const [table] = parse("| a | b |\n|---|--:|\n| 1 | `x\\|y` |\n| 2 |");
  assert.deepEqual(table.align, ["left", "right"]);
  assert.deepEqual(table.rows.map((row) => row.map(plain)), [["1", "x|y"], ["2", ""]]);
});

test("a line with a bar is no table", () => {
  assert.deepEqual(types("a | b\nc"), ["paragraph"]);
});

test("marks inside a line", () => {
  const found = inline("**a** *b* `c*d*` ~~e~~ snake_case_name 2*3*4 \\*f*");
  assert.deepEqual(
    found.filter((piece) => piece.type !== "text").map((piece) => piece.type),
    ["strong", "emphasis", "code", "strike", "emphasis"],
  );
  assert.equal(plain(found), "a b c*d* e snake_case_name 234 *f*");
});

test("emphasis within strong", () => {
  const [strong] = inline("**a *b* c**");
  assert.deepEqual(strong.children.map((piece) => piece.type), ["text", "emphasis", "text"]);
});

test("marks without an end are letters", () => {
  assert.deepEqual(inline("**a `b _c [d](e"), [{ type: "text", text: "**a `b _c [d](e" }]);
});

test("HTML is text", () => {
  const text = '<img src=x onerror="alert(1)"><script>alert(2)</script>';
  assert.deepEqual(inline(text), [{ type: "text", text }]);
});

test("links go to the web and to mail only", () => {
  assert.equal(safeAddress("https://a.example/b"), "https://a.example/b");
  assert.equal(safeAddress("mailto:a@b.example"), "mailto:a@b.example");
  for (const bad of ["javascript:alert(1)", " JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "/status", "//a.example", "java\nscript:x", "blob:https://a/b"]) {
    assert.equal(safeAddress(bad), null, bad);
  }
});

test("an address is a link, without the full stop behind it", () => {
  const [, link, dot] = inline("see https://a.example/b.");
  assert.deepEqual([link.href, dot.text], ["https://a.example/b", "."]);
});

test("a picture is a link: nothing is fetched", () => {
  assert.equal(inline("![a](https://a.example/b.png)")[0].type, "link");
});

test("raw sources put together have all lines that are not empty", () => {
  const text = "# a\n\n- b\n  c\n\n> d\n\n| e | f |\n|---|---|\n\ng\n";
  const raw = parse(text).map((block) => block.raw).join("\n");
  assert.deepEqual(raw.split("\n").filter(Boolean), text.split("\n").filter(Boolean));
});

test("long texts of marks take no long time", () => {
  const began = performance.now();
  for (const part of ["*", "**a ", "_a ", "[", "[a](", "`", "~~", "> ", "- ", "|a", "<", "h", "\\"]) {
    parse(part.repeat(20000));
    parse((part + "\n").repeat(5000));
    inline(part.repeat(20000) + "b");
  }
  assert.ok(performance.now() - began < 20000, `${performance.now() - began} ms`);
});

test("deep nesting ends", () => {
  parse("> ".repeat(5000) + "a");
  parse(Array.from({ length: 300 }, (_, depth) => " ".repeat(2 * depth) + "- a").join("\n"));
});

test("more text changes nothing before the last block", () => {
  const text = "# a\n\np | q\n|---|---|\n| r | s |\n\n- b\n\n  c\n1. d\n> e\n```\nf\n\n```\ng\n---\nh | i\n|--|--|\n";
  const raw = (part) => parse(part).map((block) => block.raw);
  let before = [];
  for (let end = 1; end <= text.length; end += 1) {
    const now = raw(text.slice(0, end));
    assert.deepEqual(now.slice(0, before.length - 1), before.slice(0, -1), text.slice(0, end));
    before = now;
  }
});
