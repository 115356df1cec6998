// The page: what is shown, and what the keys and buttons do.

import { answer } from "./answer.js";
import * as api from "./api.js";
import { showBanner, showBoard, showDaemonState, showState } from "./board.js";
import { add, EMPTY, newConversation, path, request, show, siblings } from "./conversation.js";
import { applyTheme, askForKey, openHelp, openSettings } from "./dialogs.js";
import { $, announce, icon, iconButton, make, on } from "./dom.js";
import { filesOf, Tray } from "./images.js";
import { MessageView, welcome } from "./message_view.js";
import { Problem } from "./problems.js";
import { phase, unreadTokens } from "./progress.js";
import { Sidebar } from "./sidebar.js";
import * as store from "./store.js";
import { Watch } from "./watch.js";

const SAVE_EVERY_MS = 1000;
// A setting -> its name in OpenAI's API.
const NUMBERS = { temperature: "temperature", topP: "top_p", maxTokens: "max_tokens" };
const SUGGESTIONS = [
	"Explain how a transformer makes text, in simple words",
	"Write a haiku about a small computer",
	"What can I cook with rice, eggs and spinach?",
	"Write a Python function that finds prime numbers",
];
// The bundled model knows Python's words and nothing else.
const BUNDLED = ["What is a generator?", "What is a module?", "What is a list?", "What is a decorator?"];

const tray = new Tray($("images"), (sentence) => fail(sentence));
const views = new Map(); // id of a message -> its view
const watch = new Watch();
let models = [];
let conversation = null;
let running = null; // the answer under way: {message, abort, begun, sent}

// What is shown

const sidebar = new Sidebar({
	open: (id) => openConversation(id),
	removed: (id) => (id === conversation.id ? begin() : sidebar.refresh()),
	renamed: (id, title) => id === conversation.id && (conversation.title = title),
	fail,
});

function fail(sentence) {
	$("messages").append(make("p.problem", { role: "alert" }, sentence));
	scroll(true);
}

const actions = {
	retry: (message) => {
		conversation.leaf = message.parent;
		ask();
	},
	edit: (message, text) => {
		add(conversation, newMessage("user", { content: text, images: message.images }), message.parent);
		ask();
	},
	show: (id) => {
		if (running) return;
		show(conversation, id);
		save();
		draw();
	},
	waitsForCall: (message, call) =>
		path(conversation).at(-1)?.id !== undefined &&
		!path(conversation).some((one) => one.role === "tool" && one.callId === call.id),
	answerCall: (call, text) => {
		add(conversation, newMessage("tool", { content: text, callId: call.id }));
		const shown = path(conversation);
		const calls = shown.findLast((message) => message.calls.length)?.calls ?? [];
		const answered = new Set(shown.map((message) => message.callId));
		if (calls.every(({ id }) => answered.has(id))) ask();
		else (save(), draw());
	},
};

function newMessage(role, further) {
	// A clock may stand still for two messages; their order must not.
	const newest = Math.max(0, ...Object.values(conversation.messages).map((one) => one.created));
	const created = Math.max(Date.now(), newest + 1);
	return { id: newId(), role, created, ...EMPTY, ...further };
}

/** crypto.randomUUID() is for pages over HTTPS and of this machine only. */
function newId() {
	const bytes = crypto.getRandomValues(new Uint8Array(16));
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function draw() {
	views.clear();
	const shown = path(conversation);
	document.title = conversation.title ? `${conversation.title} – RKLLM chat` : "RKLLM chat";
	document.body.classList.toggle("is-empty", shown.length === 0);
	if (!shown.length) {
		const name = chosenModel();
		const suggestions = name.startsWith("tiny-pydocs") ? BUNDLED : SUGGESTIONS;
		$("messages").replaceChildren(welcome(name, suggestions, (text) => submit(text)));
		return;
	}
	$("messages").replaceChildren(...shown.map(viewOf));
	scroll(true);
}

function viewOf(message) {
	const view = new MessageView(message, siblings(conversation, message.id), actions);
	views.set(message.id, view);
	return view.element;
}

/** Follow the answer, unless the user has scrolled up. */
function scroll(isForced = false) {
	const log = $("log");
	const isNear = log.scrollHeight - log.scrollTop - log.clientHeight < 120;
	if (isForced || isNear) log.scrollTop = log.scrollHeight;
}

// Conversations

function begin() {
	stop();
	conversation = newConversation(newId(), Date.now());
	conversation.system = store.settings.get().system;
	history.replaceState(null, "", "#");
	draw();
	sidebar.refresh(conversation.id);
	sidebar.toggle(false);
	$("prompt").focus();
}

async function openConversation(id) {
	const found = (await store.all()).find((one) => one.id === id);
	if (!found) return begin();
	if (running && conversation.id !== id) stop();
	if (conversation?.id !== id || !running) {
		conversation = found;
		for (const message of Object.values(conversation.messages)) {
			// It grew when the page was closed.
			if (message.end === null) Object.assign(message, { end: "stopped", problem: "This answer was cut off." });
		}
		history.replaceState(null, "", `#${id}`);
		draw();
	}
	sidebar.refresh(id);
	sidebar.toggle(false);
}

async function save() {
	const saved = conversation;
	saved.updated = Date.now();
	try {
		await store.save(saved);
		await sidebar.refresh(conversation.id);
	} catch {
		showState("This browser keeps no conversations", "bad");
	}
}

// Questions and answers

/** Ask a question; return false if it cannot be asked now. */
function submit(text) {
	if (running || (!text.trim() && tray.isEmpty)) return false;
	add(conversation, newMessage("user", { content: text, images: tray.take() }));
	history.replaceState(null, "", `#${conversation.id}`);
	ask();
	return true;
}

async function ask() {
	if (running) return;
	const asked = conversation;
	const message = add(asked, newMessage("assistant", { end: null, model: chosenModel() }));
	const state = { message, abort: new AbortController(), begun: false, sent: performance.now(), tokens: 0 };
	running = state;
	draw();
	setRunning(true);
	await save();
	const messages = request(asked, message.id);
	state.tokens = unreadTokens(messages);
	let savedAt = performance.now();
	await answer(message, bodyFor(messages, asked.id), state.abort.signal, {
		grown: () => {
			views.get(message.id)?.grow();
			requestAnimationFrame(() => scroll());
			if (performance.now() - savedAt > SAVE_EVERY_MS) {
				savedAt = performance.now();
				store.save(asked);
			}
		},
		begun: () => {
			state.begun = true;
			watch.busy = false;
			views.get(message.id)?.progress(null);
			announce("The answer begins.");
		},
		trouble: (problem) => {
			const then = problem.wait === "key" ? "" : " Your message is sent again by itself.";
			views.get(message.id)?.progress({ text: problem.message + then, share: null });
			scroll(true);
			state.trouble = true;
			if (problem.wait === "key") askForKey(() => watch.again());
		},
		over: () => {
			Object.assign(state, { trouble: false, begun: false, sent: performance.now() });
			watch.busy = true;
		},
		comeback: (problem, signal) => watch.comeback(problem, signal),
	});
	if (message.end === "stopped" && !message.content) message.problem = "Stopped before the answer began.";
	running = null;
	setRunning(false);
	views.get(message.id)?.progress(null);
	if (asked === conversation) {
		for (const one of path(conversation)) views.get(one.id)?.refresh(siblings(conversation, one.id));
		announce(message.problem || "The answer is complete.");
		scroll();
		await save();
	} else {
		await store.save(asked);
	}
	await loadModels();
}

function bodyFor(messages, id) {
	const known = store.settings.get();
	const body = {
		model: chosenModel() || undefined,
		messages,
		stream: true,
		prompt_cache_key: id, // its requests that wait are answered together
	};
	for (const [name, field] of Object.entries(NUMBERS)) {
		if (known[name] !== "") body[field] = Number(known[name]);
	}
	if (known.thinking) body.enable_thinking = known.thinking === "yes";
	if (known.tools.trim()) body.tools = JSON.parse(known.tools);
	return body;
}

function stop() {
	running?.abort.abort();
}

function setRunning(isRunning) {
	$("stop").hidden = !isRunning;
	$("send").hidden = isRunning;
	$("messages").setAttribute("aria-busy", String(isRunning));
	watch.busy = isRunning;
	if (!isRunning && document.activeElement === document.body) $("prompt").focus();
}

// Models and status

function chosenModel() {
	return $("model").disabled ? "" : $("model").value;
}

function readsImages() {
	return Boolean(models.find(({ id }) => id === chosenModel())?.capabilities?.includes("vision"));
}

async function loadModels() {
	try {
		models = await api.models();
	} catch (error) {
		if (error instanceof Problem) return;
		throw error;
	}
	const picker = $("model");
	const wanted = chosenModel() || store.settings.get().model;
	picker.disabled = models.length === 0;
	const group = (label, isLoaded) => {
		const found = models.filter((model) => Boolean(model.loaded) === isLoaded);
		const options = found.map(({ id }) => make("option", { value: id }, id));
		return options.length ? [make("optgroup", { label }, options)] : [];
	};
	const groups = [...group("Loaded", true), ...group("Loaded when you ask", false)];
	picker.replaceChildren(...(groups.length ? groups : [make("option", {}, "No model")]));
	if (models.some((model) => model.id === wanted)) picker.value = wanted;
	showChosen();
}

function showChosen() {
	$("attach").hidden = !readsImages();
	$("camera").hidden = !(readsImages() && isPhone());
	if (document.body.classList.contains("is-empty")) draw();
}

function onStatus(status) {
	showBoard(status);
	const name = chosenModel();
	const present = status.daemons.filter((daemon) => daemon.state !== "away");
	const isOurs = (one) => one.is_mine || one.place || one.model === name;
	const daemon = present.find(isOurs) ?? present[0];
	showDaemonState(daemon);
	if (running && !running.begun && !running.trouble) {
		const seconds = (performance.now() - running.sent) / 1000;
		const known = store.measured.get(name);
		if (daemon.state === "loading") running.loads = seconds;
		else if (running.loads && daemon.is_mine) {
			store.measured.set(name, { loadSeconds: running.loads });
			Object.assign(running, { loads: 0, sent: performance.now() });
		}
		views.get(running.message.id)?.progress(phase(daemon, name, seconds, known, running.tokens));
	}
	if (status.daemons.some((one) => one.loads !== onStatus.loads?.[one.number])) loadModels();
	onStatus.loads = Object.fromEntries(status.daemons.map((one) => [one.number, one.loads]));
}

watch.addEventListener("status", ({ detail }) => onStatus(detail));
watch.addEventListener("back", () => {
	showBanner(null);
	loadModels();
});
watch.addEventListener("away", ({ detail: problem }) => {
	const states = { invalid_api_key: "A key is needed", no_model: "No model", runtime_crashed: "Restarting" };
	showState(states[problem.code] ?? "Away", "bad");
	if (problem.code === "invalid_api_key") askForKey(() => watch.again());
	showBanner(problem, 0, () => watch.now());
	if (running) scroll(true); // the banner takes room
});
watch.addEventListener("countdown", ({ detail: seconds }) =>
	showBanner(watch.away, seconds, () => watch.now()),
);
store.onChange((ids) => {
	if (!running && ids.includes(conversation.id)) openConversation(conversation.id);
	else sidebar.refresh();
});

// Buttons and keys

function settingsDialog() {
	openSettings(conversation.system, (system) => {
		conversation.system = system;
		if (conversation.leaf !== null) save();
		watch.again();
		loadModels();
	});
}

const editLast = () => {
	const last = path(conversation).findLast((message) => message.role === "user");
	if (last && !running) views.get(last.id)?.edit();
};
const retryLast = () => {
	const last = path(conversation).at(-1);
	if (last?.role === "assistant" && !running) actions.retry(last);
};

const ALT = { KeyN: begin, KeyR: retryLast, KeyS: settingsDialog };

function onKey(event) {
	if (document.querySelector("dialog[open]")) return;
	if (event.altKey && !event.ctrlKey && !event.metaKey && ALT[event.code]) {
		event.preventDefault();
		ALT[event.code]();
	} else if (event.key === "Escape" && running) {
		stop();
	} else if (!event.target.closest?.("input, textarea, select")) {
		if (event.key === "/") (event.preventDefault(), $("prompt").focus());
		else if (event.key === "?") openHelp();
	}
}

const isPhone = () => matchMedia("(pointer: coarse)").matches;

/** Add images to the next message, if the model reads them. */
function attach(files) {
	if (!files.length) return;
	if (!readsImages()) fail(`${chosenModel() || "This model"} does not read images.`);
	else tray.add(files);
	$("prompt").focus();
}

function fitPrompt() {
	const prompt = $("prompt");
	prompt.style.height = "auto";
	prompt.style.height = `${prompt.scrollHeight}px`;
}

function listen() {
	on("composer", "submit", (event) => {
		event.preventDefault();
		if (!submit($("prompt").value)) return;
		$("prompt").value = "";
		fitPrompt();
	});
	on("prompt", "input", fitPrompt);
	on("prompt", "keydown", (event) => {
		if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !isPhone()) {
			event.preventDefault();
			$("composer").requestSubmit();
		} else if (event.key === "ArrowUp" && !$("prompt").value) {
			event.preventDefault();
			editLast();
		}
	});
	on("stop", "click", stop);
	for (const id of ["files", "photo"]) {
		on(id, "change", () => {
			attach(Array.from($(id).files));
			$(id).value = "";
		});
	}
	on("prompt", "paste", (event) => {
		const files = filesOf(event.clipboardData);
		if (files.length) (event.preventDefault(), attach(files));
	});
	for (const name of ["dragover", "drop"]) {
		on("main", name, (event) => {
			if (!event.dataTransfer?.types.includes("Files")) return;
			event.preventDefault(); // else the browser leaves the page for the file
			if (name === "drop") attach(Array.from(event.dataTransfer.files)); // what is no picture is named
		});
	}
	on("new", "click", begin);
	on("model", "change", () => {
		store.settings.set({ model: $("model").value });
		showChosen();
		watch.now();
	});
	document.addEventListener("keydown", onKey);
	document.addEventListener("visibilitychange", () => document.hidden || watch.now());
	addEventListener("online", () => watch.now());
}

function addIcons() {
	$("send").append(icon("send"));
	$("stop").append(icon("stop"));
	$("new-icon").append(icon("plus"));
	const put = (id, name, label, onclick, hidden = false) =>
		$(`${id}-slot`).replaceWith(iconButton(name, label, onclick, { id, hidden }));
	put("menu", "menu", "Conversations", () => sidebar.toggle(true));
	put("close", "close", "Close the list", () => sidebar.toggle(false));
	put("attach", "image", "Add images", () => $("files").click(), true);
	put("camera", "camera", "Take a photo", () => $("photo").click(), true);
	$("sidebar-foot").append(
		make("span.gap"),
		iconButton("moon", "Dark or light", switchTheme, { id: "theme" }),
		iconButton("help", "Keys", openHelp),
		iconButton("gear", "Settings", settingsDialog, { id: "open-settings" }),
	);
}

function switchTheme() {
	const { theme } = document.documentElement.dataset;
	const isDark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
	store.settings.set({ theme: isDark ? "light" : "dark" });
	applyTheme();
}

async function main() {
	addIcons();
	applyTheme();
	conversation = newConversation(newId(), Date.now());
	listen();
	await openConversation(location.hash.slice(1));
	await loadModels();
	watch.run();
}

main();
