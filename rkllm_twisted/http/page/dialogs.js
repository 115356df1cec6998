// The dialogs: settings, API key, keys of the keyboard.

import { key } from "./api.js";
import { $ } from "./dom.js";
import { settings } from "./store.js";

const NAMES = ["temperature", "topP", "maxTokens", "thinking", "theme", "tools"];

/** Use the colours that the settings name. */
export function applyTheme() {
	const { theme } = settings.get();
	if (theme === "auto") delete document.documentElement.dataset.theme;
	else document.documentElement.dataset.theme = theme;
}

function onSave(form, save) {
	form.onsubmit = (event) => event.submitter?.value === "save" && save(event);
}

/**
 * Open the settings.
 * @param system the system prompt of the conversation.
 * @param saved called with the new system prompt once they are saved.
 */
export function openSettings(system, saved) {
	const dialog = $("settings");
	const form = dialog.querySelector("form");
	const known = settings.get();
	for (const name of NAMES) form.elements[name].value = known[name];
	form.elements.system.value = system;
	form.elements.key.value = key.get();
	$("settings-problem").hidden = true;
	onSave(form, (event) => {
		const problem = toolsProblem(form.elements.tools.value);
		if (problem) {
			event.preventDefault();
			Object.assign($("settings-problem"), { textContent: problem, hidden: false });
			form.elements.tools.focus();
			return;
		}
		const values = Object.fromEntries(NAMES.map((name) => [name, form.elements[name].value]));
		settings.set({ ...values, system: form.elements.system.value });
		key.set(form.elements.key.value.trim());
		applyTheme();
		saved(form.elements.system.value);
	});
	dialog.showModal();
}

function toolsProblem(text) {
	if (!text.trim()) return "";
	try {
		if (Array.isArray(JSON.parse(text))) return "";
	} catch {
		// said below
	}
	return "The tools are not a JSON array; see OpenAI's API for their form.";
}

/** Ask for the API key; `saved` is called once one has been entered. */
export function askForKey(saved) {
	const dialog = $("key");
	if (dialog.open) return;
	const form = dialog.querySelector("form");
	const input = form.elements.key;
	$("key-text").textContent = key.get()
		? "The service does not know this API key. Enter another one; it is kept in this browser."
		: "This service needs an API key. It is kept in this browser.";
	input.value = "";
	onSave(form, () => {
		key.set(input.value.trim());
		saved();
	});
	dialog.showModal();
}

export function openHelp() {
	$("help").showModal();
}
