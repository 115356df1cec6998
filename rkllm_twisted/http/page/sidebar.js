// The list of conversations, and what is done with all of them.

import { exported, imported } from "./conversation.js";
import { $, announce, iconButton, make, on, textButton } from "./dom.js";
import * as store from "./store.js";

/** `actions`: open(id), removed(id), renamed(id, title), fail(sentence). */
export class Sidebar {
	#actions;
	#open = null;
	#found = [];

	constructor(actions) {
		this.#actions = actions;
		on("find", "input", () => this.#fill());
		const file = make("input", {
			type: "file",
			id: "import-file",
			accept: ".json,application/json",
			hidden: true,
			"aria-label": "A file with conversations",
			onchange: () => this.#import(file),
		});
		$("sidebar-foot").append(
			textButton("Export", () => this.#export(), { id: "export" }),
			textButton("Import", () => file.click(), { id: "import" }),
			file,
		);
		on("veil", "click", () => this.toggle(false));
		on("sidebar", "keydown", (event) => {
			if (event.key === "Escape" && this.isOver) this.toggle(false);
		});
		// What slides out of sight must not have the focus.
		const narrow = matchMedia("(max-width: 800px)");
		const adapt = () => ($("sidebar").inert = narrow.matches && !this.isOver);
		narrow.addEventListener("change", adapt);
		this.adapt = adapt;
		adapt();
	}

	/** True while it lies over the conversation, on a small screen. */
	get isOver() {
		return document.body.classList.contains("with-sidebar");
	}

	toggle(isShown = !this.isOver) {
		document.body.classList.toggle("with-sidebar", isShown);
		$("veil").hidden = !isShown;
		this.adapt();
		if (isShown) $("new").focus();
		else if (document.activeElement === document.body) $("prompt").focus();
	}

	/** Read the conversations anew, and mark the one that is shown. */
	async refresh(open = this.#open) {
		this.#open = open;
		this.#found = await store.all();
		this.#fill();
	}

	#fill() {
		const wanted = $("find").value.trim().toLowerCase();
		const has = ({ title, messages }) =>
			title.toLowerCase().includes(wanted) ||
			Object.values(messages).some((message) => message.content.toLowerCase().includes(wanted));
		const shown = wanted ? this.#found.filter(has) : this.#found;
		$("conversations").replaceChildren(...shown.map((one) => this.#row(one)));
		$("no-conversations").hidden = this.#found.length > 0;
		$("find").hidden = this.#found.length < 6 && !wanted;
		$("export").disabled = this.#found.length === 0;
	}

	#row(conversation) {
		const title = conversation.title || "Untitled";
		const isOpen = conversation.id === this.#open;
		const open = make(
			"button",
			{
				type: "button",
				className: "title",
				title,
				"aria-current": isOpen ? "true" : null,
				onclick: () => this.#actions.open(conversation.id),
			},
			title,
		);
		const row = make(
			"li",
			{},
			open,
			iconButton("edit", `Rename “${title}”`, () => this.#rename(conversation, row)),
			iconButton("bin", `Delete “${title}”`, () => this.#remove(conversation)),
		);
		return row;
	}

	#rename(conversation, row) {
		const input = make("input", { value: conversation.title, "aria-label": "Title", maxLength: 200 });
		let isOver = false;
		const leave = async (isSaved) => {
			if (isOver) return;
			isOver = true;
			if (isSaved && input.value.trim()) {
				conversation.title = input.value.trim();
				await store.save(conversation);
				this.#actions.renamed(conversation.id, conversation.title);
			}
			this.refresh();
		};
		input.addEventListener("keydown", (event) => {
			if (event.key === "Enter") leave(true);
			if (event.key === "Escape") (event.stopPropagation(), leave(false));
		});
		input.addEventListener("blur", () => leave(true));
		row.replaceChildren(input);
		input.focus();
		input.select();
	}

	async #remove(conversation) {
		if (!confirm(`Delete “${conversation.title || "Untitled"}”? It is kept nowhere else.`)) return;
		await store.remove(conversation.id);
		announce("Deleted.");
		this.#actions.removed(conversation.id);
	}

	async #export() {
		const blob = new Blob([exported(await store.all())], { type: "application/json" });
		const href = URL.createObjectURL(blob);
		const day = new Date().toISOString().slice(0, 10);
		make("a", { href, download: `conversations-${day}.json` }).click();
		setTimeout(() => URL.revokeObjectURL(href), 10_000);
	}

	async #import(file) {
		const [chosen] = file.files;
		if (!chosen) return;
		try {
			const conversations = imported(await chosen.text());
			await store.save(...conversations);
			announce(`${conversations.length} conversations imported.`);
			await this.refresh();
			if (conversations.length) this.#actions.open(conversations[0].id);
		} catch (error) {
			this.#actions.fail(error.message);
		} finally {
			file.value = "";
		}
	}
}
