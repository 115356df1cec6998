// Gets one answer: sends the request, follows the stream, and goes on by itself after a bad day.

import * as api from "./api.js";
import { MOST_CRASHES, Problem } from "./problems.js";
import { figures, notes } from "./progress.js";
import { measured } from "./store.js";

/**
 * Fill a message of the assistant.
 *
 * @param message changed in place; `end` is null while it grows.
 * @param body of the request.
 * @param signal aborted by Stop: the NPU is free one token later.
 * @param hooks `grown()`, `begun()`, `trouble(problem)`, `over()` (trouble), and
 *   `comeback(problem, signal)`, a promise of the time to try again.
 */
export async function answer(message, body, signal, hooks) {
	let crashes = 0;
	for (;;) {
		try {
			await new Attempt(message, body, signal, hooks).run();
			return;
		} catch (error) {
			if (signal.aborted) {
				message.end = "stopped";
				return;
			}
			const problem = error instanceof Problem ? error : new Problem("", String(error));
			if (problem.code === "context_length_exceeded" && !body.truncate) {
				body.truncate = true; // without its oldest turns, which the answer then says
				continue;
			}
			if (problem.code === "runtime_crashed") crashes += 1;
			if (!problem.wait || crashes >= MOST_CRASHES) {
				Object.assign(message, { end: "failed", problem: withDetail(problem) });
				return;
			}
			hooks.trouble(problem);
			try {
				await hooks.comeback(problem, signal);
			} catch {
				message.end = "stopped";
				return;
			} finally {
				hooks.over();
			}
		}
	}
}

function withDetail({ message, detail }) {
	return detail ? `${message} (${detail})` : message;
}

class Attempt {
	#pieces = 0;
	#times = { sent: performance.now(), first: 0, last: 0 };

	constructor(message, body, signal, hooks) {
		Object.assign(this, { message, body, signal, hooks });
	}

	async run() {
		const message = this.message;
		let ignored = "";
		let isFirst = true;
		try {
			for await (const chunk of api.chat(this.body, this.signal, (names) => (ignored = names))) {
				if (isFirst) Object.assign(message, { content: "", reasoning: "", calls: [], notes: [] });
				isFirst = false;
				this.#take(chunk, ignored);
			}
		} finally {
			if (!isFirst) message.figures ||= figures(this.#times, null, this.#pieces);
		}
	}

	#take(chunk, ignored) {
		const message = this.message;
		const [choice] = chunk.choices;
		if (chunk.model) message.model = chunk.model;
		if (choice) this.#grow(choice.delta);
		if (!choice?.finish_reason) return;
		message.end = choice.finish_reason;
		message.notes = [...notes(chunk.rkllm, ignored), ...(message.end === "length" ? [CUT] : [])];
		message.figures = figures(this.#times, chunk.timings, this.#pieces);
		if (chunk.timings?.prompt_n > 8 && chunk.timings.prompt_per_second) {
			measured.set(message.model, { promptRate: chunk.timings.prompt_per_second });
		}
		this.hooks.grown();
	}

	#grow({ content, reasoning_content: reasoning, tool_calls: calls }) {
		if (!content && !reasoning && !calls) return;
		this.#times.last = performance.now();
		if (!this.#times.first) {
			this.#times.first = this.#times.last;
			this.hooks.begun();
		}
		this.#pieces += 1;
		const message = this.message;
		message.content += content ?? "";
		message.reasoning += reasoning ?? "";
		for (const { index, id, function: called } of calls ?? []) {
			message.calls[index] ??= { id: "", name: "", arguments: "" };
			message.calls[index].id ||= id ?? "";
			message.calls[index].name ||= called?.name ?? "";
			message.calls[index].arguments += called?.arguments ?? "";
		}
		message.figures = figures(this.#times, null, this.#pieces);
		this.hooks.grown();
	}
}

const CUT = "The answer was cut off: it has reached the limit of tokens.";
