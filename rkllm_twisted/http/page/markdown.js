// Markdown to a tree of plain objects. Pure: view.js makes elements of it, so no text is ever HTML.

const DEEPEST = 8;
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])(\s*\1){2,}\s*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])(\s+)(.*)$/;
const QUOTE = /^ {0,3}>\s?/;
const TABLE_LINE = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;

/**
 * Return the blocks of a text.
 *
 * Each has its source as `raw`, so that a view can keep what stays, and its first line as `line`:
 * more text changes nothing before the last block.
 */
export function parse(text) {
	return blocksOf(text.replace(/\r\n?/g, "\n").split("\n"), 0);
}

function blocksOf(lines, depth) {
	const blocks = [];
	let at = 0;
	while (at < lines.length) {
		if (!lines[at].trim()) {
			at += 1;
			continue;
		}
		const [block, next] = blockAt(lines, at, depth);
		block.line = at;
		block.raw = lines.slice(at, next).join("\n");
		blocks.push(block);
		at = next;
	}
	return blocks;
}

function blockAt(lines, at, depth) {
	const line = lines[at];
	let found;
	if ((found = FENCE.exec(line))) return codeAt(lines, at, found);
	if ((found = HEADING.exec(line))) {
		return [{ type: "heading", level: found[1].length, children: inline(found[2]) }, at + 1];
	}
	if (RULE.test(line)) return [{ type: "rule" }, at + 1];
	if (depth < DEEPEST && QUOTE.test(line)) return quoteAt(lines, at, depth);
	if (depth < DEEPEST && ITEM.test(line)) return listAt(lines, at, depth);
	if (isTable(lines, at)) return tableAt(lines, at);
	return paragraphAt(lines, at, depth);
}

function codeAt(lines, at, [line, fence, info]) {
	const closing = new RegExp(`^ {0,3}${fence[0]}{${fence.length},}\\s*$`);
	const indent = line.length - line.trimStart().length;
	let end = at + 1;
	while (end < lines.length && !closing.test(lines[end])) end += 1;
	const code = lines.slice(at + 1, end).map((one) => one.replace(new RegExp(`^ {0,${indent}}`), ""));
	return [
		{ type: "code", language: info.trim().split(/\s+/)[0], text: code.join("\n") },
		Math.min(end + 1, lines.length),
	];
}

function quoteAt(lines, at, depth) {
	let end = at;
	while (end < lines.length && QUOTE.test(lines[end])) end += 1;
	const inner = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
	return [{ type: "quote", children: blocksOf(inner, depth + 1) }, end];
}

function listAt(lines, at, depth) {
	const [, indent, mark] = ITEM.exec(lines[at]);
	const ordered = /\d/.test(mark);
	const items = [];
	let end = at;
	while (end < lines.length) {
		const found = ITEM.exec(lines[end]);
		if (!found || found[1].length > indent.length + 3 || /\d/.test(found[2]) !== ordered) break;
		if (RULE.test(lines[end]) || found[1].length < indent.length) break;
		const width = found[1].length + found[2].length + Math.min(found[3].length, 4);
		const next = itemEnd(lines, end + 1, found[1].length);
		const body = [found[4], ...lines.slice(end + 1, next).map((line) => dedent(line, width))];
		items.push(blocksOf(body, depth + 1));
		end = next;
	}
	const start = ordered ? parseInt(mark, 10) : 1;
	return [{ type: "list", ordered, start, items }, end];
}

/** Return where an item ends: before a line that is indented no more than its mark. */
function itemEnd(lines, at, indent) {
	let end = at;
	let isLoose = false;
	while (end < lines.length) {
		const line = lines[end];
		const depth = line.length - line.trimStart().length;
		if (!line.trim()) isLoose = true;
		else if (depth <= indent && (isLoose || startsBlock(lines, end))) break;
		end += 1;
	}
	return end;
}

function dedent(line, width) {
	return line.slice(Math.min(width, line.length - line.trimStart().length));
}

function isTable(lines, at) {
	return (
		lines[at].includes("|") &&
		at + 1 < lines.length &&
		lines[at + 1].includes("-") &&
		TABLE_LINE.test(lines[at + 1]) &&
		cells(lines[at]).length === cells(lines[at + 1]).length
	);
}

function tableAt(lines, at) {
	let end = at + 2;
	while (end < lines.length && lines[end].includes("|") && lines[end].trim()) end += 1;
	const align = cells(lines[at + 1]).map((cell) => {
		if (cell.endsWith(":")) return cell.startsWith(":") ? "center" : "right";
		return "left";
	});
	const row = (line) => align.map((_, column) => inline(cells(line)[column] ?? ""));
	return [
		{ type: "table", align, head: row(lines[at]), rows: lines.slice(at + 2, end).map(row) },
		end,
	];
}

function cells(line) {
	const inner = line.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
	return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/\\\|/g, "|"));
}

function startsBlock(lines, at) {
	const line = lines[at];
	return [FENCE, HEADING, RULE, QUOTE, ITEM].some((one) => one.test(line)) || isTable(lines, at);
}

function paragraphAt(lines, at, depth) {
	let end = at + 1;
	while (end < lines.length && lines[end].trim() && (depth >= DEEPEST || !startsBlock(lines, end))) {
		end += 1;
	}
	const text = lines.slice(at, end).map((line) => line.trim()).join("\n");
	return [{ type: "paragraph", children: inline(text) }, end];
}

// Inline

const MARKS = { "**": "strong", __: "strong", "~~": "strike", "*": "emphasis", _: "emphasis" };
const URL_START = /https?:\/\/[^\s<>"'`]+/y;
const PUNCTUATION = /[!-/:-@[-`{-~]/;
const WORD = /[\p{L}\p{N}]/u;

/** Return the pieces of a text: `{type: "text"}`, `code`, `link`, `break`, and nested ones. */
export function inline(text, depth = 0) {
	let at = 0;
	let plain = "";
	const pieces = [];
	const absent = new Set(); // marks without an end in the rest of the text: each is looked for once

	function flush() {
		if (plain) pieces.push({ type: "text", text: plain });
		plain = "";
	}

	function take(piece, length) {
		flush();
		pieces.push(piece);
		at += length;
		return true;
	}

	function takePlain(letters, length) {
		plain += letters;
		at += length;
		return true;
	}

	/** Return where a mark is next, or -1. */
	function find(mark, from) {
		if (absent.has(mark)) return -1;
		const end = text.indexOf(mark, from);
		if (end < 0) absent.add(mark);
		return end;
	}

	function escape() {
		const next = text[at + 1];
		return next !== undefined && PUNCTUATION.test(next) && takePlain(next, 2);
	}

	function code() {
		let width = 1;
		while (text[at + width] === "`") width += 1;
		const mark = "`".repeat(width);
		const end = find(mark, at + width);
		if (end < 0) return takePlain(mark, width);
		const inner = text.slice(at + width, end).replace(/\n/g, " ");
		const trimmed = /^ .*[^ ].* $/.test(inner) ? inner.slice(1, -1) : inner;
		return take({ type: "code", text: trimmed }, end + width - at);
	}

	function link(open) {
		if (depth >= DEEPEST) return false;
		const close = find("](", open);
		const end = close < 0 ? -1 : find(")", close);
		const label = text.slice(open + 1, close);
		if (end < 0 || label.includes("[")) return false;
		const target = text.slice(close + 2, end).trim().split(/\s+/)[0].replace(/^<|>$/g, "");
		const children = inline(label || target, depth + 1);
		return take({ type: "link", href: safeAddress(target), children }, end + 1 - at);
	}

	function bracketed() {
		const found = /^<(https?:\/\/[^\s<>]+)>/.exec(text.slice(at, at + 2048));
		return found && take(linkTo(found[1]), found[0].length);
	}

	function address() {
		URL_START.lastIndex = at;
		const found = URL_START.exec(text);
		if (!found || WORD.test(text[at - 1] ?? "")) return false;
		const inner = found[0].replace(/[.,;:!?*_~)\]]+$/, "");
		return take(linkTo(inner), inner.length);
	}

	function marked() {
		const mark = Object.keys(MARKS).find((one) => text.startsWith(one, at));
		if (!mark || depth >= DEEPEST) return false;
		const from = at + mark.length;
		const isWordInside = mark.includes("_") && WORD.test(text[at - 1] ?? "");
		if (isWordInside || /\s/.test(text[from] ?? " ")) return false;
		let end = find(mark, from + 1);
		// The end of a single mark is no half of a double one, and stands after a letter.
		while (end > 0 && (/\s/.test(text[end - 1]) || (mark.length === 1 && text[end + 1] === mark))) {
			end = find(mark, end + (text[end + 1] === mark ? 2 : 1));
		}
		if (end < 0 || (mark.includes("_") && WORD.test(text[end + mark.length] ?? ""))) return false;
		const children = inline(text.slice(from, end), depth + 1);
		return take({ type: MARKS[mark], children }, end + mark.length - at);
	}

	const readers = {
		"\\": escape,
		"\n": () => take({ type: "break" }, 1),
		"`": code,
		"[": () => link(at),
		"!": () => text[at + 1] === "[" && link(at + 1),
		"<": bracketed,
		h: address,
		"*": marked,
		_: marked,
		"~": marked,
	};
	while (at < text.length) {
		const letter = text[at];
		if (!readers[letter]?.()) takePlain(letter, 1);
	}
	flush();
	return pieces;
}

function linkTo(address) {
	return { type: "link", href: safeAddress(address), children: [{ type: "text", text: address }] };
}

/** Return an address that is safe to open, or null: never javascript:, data: or a path here. */
export function safeAddress(address) {
	try {
		const url = new URL(address);
		return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
	} catch {
		return null;
	}
}
