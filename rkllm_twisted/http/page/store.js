// Conversations in IndexedDB, and settings in localStorage.

const NAME = "rkllm";
const TABLE = "conversations";
const SETTINGS = "rkllm.settings";
const MODELS = "rkllm.models";

/** Other tabs of this page. */
const others = new BroadcastChannel("rkllm");

let opened = null;

function open() {
	opened ??= new Promise((resolve, reject) => {
		const request = indexedDB.open(NAME, 1);
		request.onupgradeneeded = () => request.result.createObjectStore(TABLE, { keyPath: "id" });
		request.onsuccess = () => resolve(request.result);
		request.onerror = () => reject(request.error);
	});
	return opened;
}

async function run(mode, work) {
	const transaction = (await open()).transaction(TABLE, mode);
	const request = work(transaction.objectStore(TABLE));
	return new Promise((resolve, reject) => {
		transaction.oncomplete = () => resolve(request?.result);
		transaction.onerror = transaction.onabort = () => reject(transaction.error);
	});
}

/** Return all conversations, the newest first. */
export async function all() {
	const found = await run("readonly", (table) => table.getAll());
	return found.sort((one, other) => other.updated - one.updated);
}

export async function save(...conversations) {
	await run("readwrite", (table) => {
		for (const conversation of conversations) table.put(conversation);
	});
	others.postMessage(conversations.map((one) => one.id));
}

export async function remove(id) {
	await run("readwrite", (table) => table.delete(id));
	others.postMessage([id]);
}

/** Call a function with the ids of what another tab has changed. */
export function onChange(listener) {
	others.onmessage = (event) => listener(event.data);
}

const DEFAULTS = {
	model: "",
	system: "",
	temperature: "",
	topP: "",
	maxTokens: "",
	thinking: "",
	tools: "",
	theme: "auto",
};

function read(name) {
	try {
		return JSON.parse(localStorage.getItem(name)) ?? {};
	} catch {
		return {};
	}
}

export const settings = {
	get: () => ({ ...DEFAULTS, ...read(SETTINGS) }),
	set: (changes) =>
		localStorage.setItem(SETTINGS, JSON.stringify({ ...settings.get(), ...changes })),
};

/** What was measured of each model: `loadSeconds`, `promptRate`. */
export const measured = {
	get: (model) => ({ loadSeconds: 0, promptRate: 0, ...read(MODELS)[model] }),
	set: (model, figures) => {
		const known = read(MODELS);
		known[model] = { ...known[model], ...figures };
		localStorage.setItem(MODELS, JSON.stringify(known));
	},
};
