// The service's paths that this page uses.

import { EventParser } from "./sse.js";
import { Problem, problemOf } from "./problems.js";

const KEY = "rkllm.key";

/** The API key that the user has entered; empty if there is none. */
export const key = {
	get: () => localStorage.getItem(KEY) ?? "",
	set: (text) => (text ? localStorage.setItem(KEY, text) : localStorage.removeItem(KEY)),
};

// Relative, so that the page also works below a path of a proxy.
const address = (path) => new URL(path, document.baseURI);

async function ask(path, options = {}) {
	const headers = { ...options.headers };
	if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
	let response;
	try {
		response = await fetch(address(path), { cache: "no-store", ...options, headers });
	} catch (error) {
		if (options.signal?.aborted) throw error;
		throw new Problem("offline");
	}
	if (response.ok) return response;
	let body = null;
	try {
		body = await response.json();
	} catch {
		if ([502, 503, 504].includes(response.status)) throw new Problem("offline"); // a proxy's page
	}
	throw problemOf(body, response.status, response.headers.get("Retry-After"));
}

const json = async (path, options) => (await ask(path, options)).json();

export const status = () => json("status", { signal: AbortSignal.timeout(10_000) });
export const ready = () => json("ready", { signal: AbortSignal.timeout(10_000) });

/** Return the models that can chat, the loaded ones first. */
export async function models() {
	const { data } = await json("v1/models");
	const chat = data.filter((model) => !["embedding", "rerank"].includes(model.kind));
	return chat.sort((one, other) => Number(other.loaded ?? 0) - Number(one.loaded ?? 0));
}

/**
 * Ask for an answer, and yield its chunks as they come.
 * @param onIgnored called with the names of the fields that the runtime ignores.
 * @throws {Problem} also amid the stream.
 */
export async function* chat(body, signal, onIgnored) {
	const response = await ask("v1/chat/completions", {
		method: "POST",
		headers: { "Content-Type": "application/json" },
		body: JSON.stringify(body),
		signal,
	});
	onIgnored(response.headers.get("X-RKLLM-Ignored") ?? "");
	const parser = new EventParser();
	for await (const text of pieces(response, signal)) {
		for (const data of parser.feed(text)) {
			if (data === "[DONE]") return;
			const chunk = JSON.parse(data);
			if (chunk.error) throw problemOf(chunk);
			yield chunk;
		}
	}
	throw new Problem("offline"); // the stream ended without its end
}

async function* pieces(response, signal) {
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	try {
		for (;;) {
			const { done, value } = await reader.read();
			if (done) return;
			yield value;
		}
	} catch (error) {
		if (signal.aborted) throw error;
		throw new Problem("offline");
	} finally {
		reader.cancel().catch(() => {});
	}
}
