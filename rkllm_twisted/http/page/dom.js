// Makes elements. Text becomes text nodes only: nothing here parses HTML.

export const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

/** Listen to an element of the page. */
export const on = (id, type, listener) => $(id).addEventListener(type, listener);

/**
 * Make an element, `tag` or `tag.class`. Children and properties that are null or false are left out.
 * `on…` adds a listener; `aria-…`, `data-…`, `role` and `for` are attributes.
 */
export function make(tag, properties = {}, ...children) {
	const [name, className] = tag.split(".");
	const element = document.createElement(name);
	if (className) element.className = className;
	if (name === "button") element.type = "button";
	for (const [key, value] of Object.entries(properties)) {
		if (value === undefined || value === null || value === false) continue;
		if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
		else if (/^(aria-|data-|role$|for$|list$)/.test(key)) element.setAttribute(key, value);
		else element[key] = value;
	}
	element.append(...children.flat().filter((child) => child !== null && child !== false));
	return element;
}

const PATHS = {
	send: "M12 19V5M6 11l6-6 6 6",
	stop: "M7 7h10v10H7z",
	plus: "M12 5v14M5 12h14",
	menu: "M4 7h16M4 12h16M4 17h16",
	copy: "M9 9h10v11H9zM6 15H5V4h10v2",
	done: "M5 13l4 4L19 7",
	retry: "M20 11a8 8 0 1 0-2.3 6.3M20 5v6h-6",
	edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
	before: "M14 6l-6 6 6 6",
	after: "M10 6l6 6-6 6",
	bin: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
	gear: "M4 8h9M17 8h3M4 16h3M11 16h9M15 5.5v5M9 13.5v5",
	moon: "M20 14.5A8 8 0 0 1 9.5 4 8 8 0 1 0 20 14.5z",
	help: "M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 17.5v.5",
	close: "M6 6l12 12M18 6L6 18",
	image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5v.1",
	camera: "M4 8h4l2-3h4l2 3h4v11H4zM9 13a3 3 0 1 0 6 0 3 3 0 1 0-6 0",
};

/** Make one of the page's icons; it is hidden from screen readers. */
export function icon(name) {
	const svg = document.createElementNS(SVG, "svg");
	svg.setAttribute("viewBox", "0 0 24 24");
	svg.setAttribute("aria-hidden", "true");
	svg.classList.add("icon");
	const path = document.createElementNS(SVG, "path");
	path.setAttribute("d", PATHS[name]);
	svg.append(path);
	return svg;
}

/** Make a button with an icon; the label is its name and its tooltip. */
export function iconButton(name, label, onclick, further = {}) {
	return make("button.icon-button", { title: label, "aria-label": label, onclick, ...further }, icon(name));
}

/** Make a button with a text. */
export function textButton(text, onclick, further = {}) {
	return make("button.plain", { onclick, ...further }, text);
}

/** Copy a text, and show on the button that it is done. */
export async function copy(text, button) {
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		copyBySelection(text); // the clipboard is closed to pages over plain HTTP
	}
	const before = button.firstChild;
	before.replaceWith(icon("done"));
	announce("Copied.");
	setTimeout(() => button.firstChild.replaceWith(before), 1500);
}

function copyBySelection(text) {
	const area = make("textarea", { value: text, className: "off-screen" });
	(document.querySelector("dialog[open]") ?? document.body).append(area);
	area.select();
	document.execCommand("copy");
	area.remove();
}

/** Say something to a screen reader. */
export function announce(text) {
	$("announcer").textContent = text;
}
