// What the page says while an answer has not begun, and the figures once it has ended. Pure.

const LETTERS_PER_TOKEN = 4;

/**
 * Say what happens to a request that has no answer yet.
 * @param daemon the row of /status for the daemon, or null.
 * @param model the name of the model that was asked.
 * @param seconds since the request was sent.
 * @param memory what is known of the model: `loadSeconds`, `promptRate` (tokens/s); either may be 0.
 * @param tokens how many tokens of the prompt are to be read, about.
 * @returns `{text, share}`: a sentence, and a number from 0 to 1 if it can be estimated.
 */
export function phase(daemon, model, seconds, memory, tokens) {
	if (!daemon) return { text: "Sending …", share: null };
	if (daemon.state === "loading") {
		const text = `Loading ${model || "the model"} … ${Math.round(seconds)} s`;
		return { text, share: share(seconds, memory.loadSeconds) };
	}
	if (daemon.place > 0) {
		const before = daemon.place === 1 ? "the one that runs" : `${daemon.place} others`;
		return { text: `Waiting in the queue: place ${daemon.place}, after ${before}.`, share: null };
	}
	if (daemon.is_mine) {
		const part = share(seconds, memory.promptRate ? tokens / memory.promptRate : 0);
		const percent = part === null ? "" : `, about ${Math.round(part * 100)} %`;
		return { text: `Reading the prompt${percent} … ${seconds.toFixed(0)} s`, share: part };
	}
	return { text: "Sending …", share: null };
}

/** An estimate is never certain: it stops short of the end. */
function share(seconds, expected) {
	return expected > 0 ? Math.min(seconds / expected, 0.97) : null;
}

/** Return about how many tokens of a conversation the model has not read yet. */
export function unreadTokens(messages) {
	const last = messages.findLastIndex((message) => message.role === "assistant");
	const letters = messages.slice(last + 1).reduce((sum, one) => sum + (one.content?.length ?? 0), 0);
	return Math.max(1, Math.round(letters / LETTERS_PER_TOKEN));
}

/**
 * Return the figures of an answer as text.
 * @param times `sent`, `first`, `last`, in milliseconds.
 * @param timings of the last chunk, as llama.cpp's; null if it was cut off.
 * @param pieces of text that came.
 */
export function figures({ sent, first, last }, timings, pieces) {
	if (!first) return "";
	const count = timings?.predicted_n || pieces;
	const rate = timings?.predicted_per_second || (count > 1 ? ((count - 1) * 1000) / (last - first) : 0);
	const parts = [`first token after ${duration(first - sent)}`, `${count} token${count === 1 ? "" : "s"}`];
	if (Number.isFinite(rate) && rate > 0) parts.push(`${number(rate)} tokens/s`);
	if (timings) {
		const whole = timings.cache_n + timings.prompt_n;
		parts.push(`prompt ${whole} tokens, ${timings.cache_n} of them cached`);
	}
	return parts.join(" · ");
}

export function duration(milliseconds) {
	return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

function number(value) {
	return value < 100 ? value.toFixed(1) : String(Math.round(value));
}

/** What the service says beside an answer, as sentences. */
export function notes(own, ignored) {
	const found = [];
	if (own?.dropped_messages) {
		found.push(`The model's context is full: the oldest ${own.dropped_messages} messages were left out.`);
	}
	if (own?.flattened) {
		found.push("No template lies beside this model, so earlier messages were read as plain text.");
	}
	if (ignored) found.push(`This runtime ignores: ${ignored}.`);
	return found;
}

/** Return the rows that describe the board: `{name, text, shares}`; what is unknown is left out. */
export function boardRows(status) {
	const machine = status?.machine ?? {};
	const rows = [];
	if (machine.npu_load) {
		const clock = machine.npu_hz ? ` at ${Math.round(machine.npu_hz / 1e6)} MHz` : "";
		rows.push({
			name: "NPU",
			text: machine.npu_load.map((load) => `${load} %`).join("  ") + clock,
			shares: machine.npu_load.map((load) => load / 100),
		});
	}
	if (machine.celsius !== null && machine.celsius !== undefined) {
		rows.push({ name: "Heat", text: `${machine.celsius.toFixed(0)} °C`, shares: [machine.celsius / 100] });
	}
	if (machine.memory_total && machine.memory_available !== null) {
		const used = machine.memory_total - machine.memory_available;
		rows.push({
			name: "Memory",
			text: `${gib(used)} of ${gib(machine.memory_total)} GiB`,
			shares: [used / machine.memory_total],
		});
	}
	return rows;
}

function gib(bytes) {
	return (bytes / 2 ** 30).toFixed(1);
}
