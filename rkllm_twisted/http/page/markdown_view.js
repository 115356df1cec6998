// Elements for the tree of markdown.js.

import { copy, icon, make } from "./dom.js";
import { parse } from "./markdown.js";

const shown = new WeakMap(); // element -> the text, and the sources of its blocks
let rank = 2; // of the heading before

/** Show a text in an element. While it grows, only its end is read again and made anew. */
export function render(element, source) {
	const text = source.replace(/\r\n?/g, "\n");
	const before = shown.get(element) ?? { text: "", start: 0, raw: [] };
	if (text === before.text) return;
	const grows = text.startsWith(before.text);
	const start = grows ? before.start : 0;
	const kept = grows ? before.raw.slice(0, -1) : [];
	const blocks = parse(text.slice(start));
	const raw = [...kept, ...blocks.map((block) => block.raw)];
	let same = kept.length;
	while (same < before.raw.length && before.raw[same] === raw[same]) same += 1;
	while (element.childNodes.length > same) element.lastChild.remove();
	rank = Number([...element.querySelectorAll("h3, h4, h5, h6")].at(-1)?.localName[1] ?? 2);
	element.append(...blocks.slice(same - kept.length).map(blockElement));
	shown.set(element, { text, raw, start: start + offset(text.slice(start), blocks.at(-1)?.line) });
}

/** Return where a line of a text begins. */
function offset(text, line = 0) {
	let at = 0;
	for (let count = 0; count < line; count += 1) at = text.indexOf("\n", at) + 1;
	return at;
}

const BLOCKS = {
	paragraph: (block) => make("p", {}, inlineNodes(block.children)),
	heading: headingElement,
	rule: () => make("hr"),
	quote: (block) => make("blockquote", {}, block.children.map(blockElement)),
	list: listElement,
	code: codeElement,
	table: tableElement,
};

function blockElement(block) {
	return BLOCKS[block.type](block);
}

/** A heading stands below the message's own, and none is deeper by two than the one before. */
function headingElement({ level, children }) {
	rank = Math.min(level + 2, rank + 1, 6);
	return make(`h${rank}`, {}, inlineNodes(children));
}

function listElement({ ordered, start, items }) {
	const list = make(ordered ? "ol" : "ul", ordered && start !== 1 ? { start } : {});
	list.append(
		...items.map((blocks) => {
			const [first, ...rest] = blocks;
			// A short item needs no paragraph of its own.
			const isShort = first?.type === "paragraph" && rest.every((block) => block.type === "list");
			const begin = isShort ? inlineNodes(first.children) : first ? [blockElement(first)] : [];
			return make("li", {}, begin, rest.map(blockElement));
		}),
	);
	return list;
}

function codeElement({ language, text }) {
	const label = "Copy this code";
	const onclick = () => copy(text, button);
	const button = make("button.copy-code", { "aria-label": label, title: label, onclick }, icon("copy"), "Copy");
	return make(
		"div.code",
		{},
		make("div.code-head", {}, make("span", {}, language || "text"), button),
		make("pre", { tabIndex: 0 }, make("code", {}, text)),
	);
}

function tableElement({ align, head, rows }) {
	const row = (name) => (cells) =>
		make("tr", {}, cells.map((cell, column) => make(name, { className: align[column] }, inlineNodes(cell))));
	return make(
		"div.table",
		{ tabIndex: 0 },
		make("table", {}, make("thead", {}, row("th")(head)), make("tbody", {}, rows.map(row("td")))),
	);
}

const INLINE = {
	text: (piece) => document.createTextNode(piece.text),
	break: () => make("br"),
	code: (piece) => make("code", {}, piece.text),
	strong: (piece) => make("strong", {}, inlineNodes(piece.children)),
	emphasis: (piece) => make("em", {}, inlineNodes(piece.children)),
	strike: (piece) => make("s", {}, inlineNodes(piece.children)),
	link: linkElement,
};

function inlineNodes(pieces) {
	return pieces.map((piece) => INLINE[piece.type](piece));
}

/** A link opens in a tab of its own, which learns nothing of this one. */
function linkElement({ href, children }) {
	const inner = inlineNodes(children);
	if (!href) return make("span", {}, inner);
	return make("a", { href, target: "_blank", rel: "noopener noreferrer nofollow", title: href }, inner);
}
