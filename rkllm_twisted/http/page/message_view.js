// One message: its elements, and how they change while an answer comes.

import { copy, iconButton, make, textButton } from "./dom.js";
import { render } from "./markdown_view.js";

/**
 * The view of one message.
 *
 * `actions` has what its buttons do: retry(message), edit(message, text), show(id) and
 * answerCall(call, text).
 */
export class MessageView {
	#actions;
	#message;
	#parts = {};
	#frame = 0;

	constructor(message, versions, actions) {
		this.#message = message;
		this.#actions = actions;
		const names = { user: "You", assistant: message.model || "Answer", tool: "Result" };
		this.element = make(
			"article",
			{ className: `message ${message.role}`, "data-id": message.id },
			make("h2", { className: message.role === "assistant" ? "who" : "off-screen" }, names[message.role]),
		);
		if (message.role === "assistant") this.#buildAnswer();
		else this.#buildOwn();
		this.#parts.tools = make("div.tools");
		this.element.append(this.#parts.tools);
		this.refresh(versions);
	}

	/** Show what the message has become; at most once a frame. */
	grow() {
		this.#frame ||= requestAnimationFrame(() => {
			this.#frame = 0;
			this.#fill();
		});
	}

	/** Show the message as it is, with its buttons. */
	refresh(versions) {
		if (this.#message.role === "assistant") this.#fill();
		const buttons = this.#message.end === null ? [] : this.#buttons(versions);
		this.#parts.tools.replaceChildren(...buttons);
	}

	/** Say what happens before the answer begins. */
	progress(phase) {
		const { phase: line, bar } = this.#parts;
		line.hidden = !phase;
		bar.hidden = !phase || phase.share === null;
		if (!phase) return;
		line.firstChild.textContent = phase.text;
		if (phase.share !== null) bar.value = phase.share;
	}

	#buildOwn() {
		const { content, images = [] } = this.#message;
		const shown = images.map((src, at) => make("img", { src, alt: `Image ${at + 1}` }));
		if (shown.length) this.element.append(make("div.shown-images", {}, shown));
		this.element.append(make("div.bubble", { hidden: !content }, content));
	}

	#buildAnswer() {
		const parts = this.#parts;
		parts.bar = make("progress", { max: 1, value: 0, hidden: true, "aria-label": "About how far" });
		parts.phase = make("div.phase", { hidden: true }, make("span"), parts.bar);
		parts.thought = make("div.markdown");
		parts.thoughtTitle = make("summary", {}, "Reasoning");
		parts.reasoning = make("details", { hidden: true }, parts.thoughtTitle, parts.thought);
		parts.body = make("div", { className: "markdown body" });
		parts.calls = make("div.calls");
		parts.notes = make("div.notes");
		parts.problem = make("div.problem", { hidden: true });
		parts.figures = make("p.figures", { hidden: true });
		const { phase, reasoning, body, calls, notes, problem, figures } = parts;
		this.element.append(phase, reasoning, body, calls, problem, notes, figures);
	}

	#fill() {
		const [message, parts] = [this.#message, this.#parts];
		parts.reasoning.hidden = !message.reasoning;
		if (message.reasoning) {
			const isThinking = message.end === null && !message.content;
			parts.thoughtTitle.textContent = isThinking ? "Reasoning …" : "Reasoning";
			render(parts.thought, message.reasoning);
		}
		render(parts.body, message.content);
		this.element.classList.toggle("growing", message.end === null);
		parts.calls.replaceChildren(...message.calls.map((call) => this.#callElement(call)));
		parts.notes.replaceChildren(...message.notes.map((note) => make("p", {}, note)));
		parts.problem.hidden = !message.problem;
		parts.problem.replaceChildren(message.problem);
		parts.figures.hidden = !message.figures;
		parts.figures.textContent = message.figures;
	}

	#callElement(call) {
		const element = make(
			"div.call",
			{},
			make("div.code-head", {}, make("span", {}, "The model calls "), make("code", {}, call.name)),
			make("pre", { tabIndex: 0 }, make("code", {}, pretty(call.arguments))),
		);
		if (this.#message.end === "tool_calls" && this.#actions.waitsForCall(this.#message, call)) {
			element.append(this.#callForm(call));
		}
		return element;
	}

	#callForm(call) {
		const placeholder = "The result of this call";
		const area = make("textarea", { rows: 2, placeholder, "aria-label": `Result of ${call.name}` });
		const onsubmit = (event) => {
			event.preventDefault();
			this.#actions.answerCall(call, area.value);
		};
		const send = textButton("Give the result", null, { type: "submit" });
		return make("form", { onsubmit }, area, send);
	}

	#buttons(versions) {
		const [message, actions] = [this.#message, this.#actions];
		const buttons = [];
		if (versions.length > 1) buttons.push(this.#switcher(versions));
		if (message.content) {
			const button = iconButton("copy", "Copy this message", () => copy(message.content, button));
			buttons.push(button);
		}
		if (message.role === "user") {
			buttons.push(iconButton("edit", "Edit this message", () => this.edit()));
		} else if (message.role === "assistant") {
			buttons.push(iconButton("retry", "Answer again", () => actions.retry(message)));
		}
		return buttons;
	}

	#switcher(versions) {
		const at = versions.indexOf(this.#message.id);
		const go = (step) => () => this.#actions.show(versions[at + step]);
		return make(
			"span.versions",
			{ role: "group", "aria-label": "Versions" },
			iconButton("before", "Version before", go(-1), { disabled: at === 0 }),
			make("span", {}, `${at + 1}/${versions.length}`),
			iconButton("after", "Version after", go(1), { disabled: at === versions.length - 1 }),
		);
	}

	/** Let the user change a message of theirs. */
	edit() {
		const bubble = this.element.querySelector(".bubble");
		bubble.hidden = false;
		const area = make("textarea", { value: this.#message.content, "aria-label": "Edit this message" });
		area.rows = Math.min(this.#message.content.split("\n").length + 1, 12);
		const leave = () => {
			form.replaceWith(bubble);
			this.element.classList.remove("editing");
		};
		const send = () => {
			leave();
			if (area.value.trim()) this.#actions.edit(this.#message, area.value);
		};
		const form = make(
			"form.editor",
			{
				onsubmit: (event) => (event.preventDefault(), send()),
				onkeydown: (event) => {
					if (event.key === "Escape") {
						event.stopPropagation();
						leave();
					} else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
						event.preventDefault();
						send();
					}
				},
			},
			area,
			textButton("Cancel", leave),
			textButton("Send", null, { type: "submit", className: "primary" }),
		);
		bubble.replaceWith(form);
		this.element.classList.add("editing");
		area.focus();
	}
}

/** Show JSON with indents, if it is JSON. */
function pretty(text) {
	try {
		return JSON.stringify(JSON.parse(text), null, 2);
	} catch {
		return text;
	}
}

/** Return the elements of an empty conversation. */
export function welcome(model, suggestions, ask) {
	return make(
		"div.welcome",
		{},
		make("img.mark", { src: "page/icon.svg", alt: "" }),
		make("h2", {}, "What would you like to know?"),
		make("p", {}, model ? `${model} runs on your own hardware.` : "No model is there yet."),
		make(
			"div.suggestions",
			{},
			suggestions.map((text) => textButton(text, () => ask(text), { className: "suggestion" })),
		),
	);
}
