// What can go wrong, as a sentence for people and as what the page does about it. Pure.
//
// `wait` says when to go on: "ready" when /ready says so, "later" after the time that the service
// named, "key" when a key has been entered; without it the user decides.

const ROWS = {
	offline: ["The service does not answer; it may be starting, or off.", "ready"],
	daemon_unavailable: ["The daemon is away, so no model can answer.", "ready"],
	no_model: [
		"No model is loaded. Run rkllm init /path/to/model on the board, or give --model-dir FOLDER to the daemon.",
		"ready",
	],
	overloaded: ["The queue is full: too many requests wait for the NPU.", "later"],
	runtime_crashed: ["The runtime crashed; the daemon starts it again.", "ready"],
	invalid_api_key: ["This service needs an API key.", "key"],
	timed_out: ["The model took too long; the daemon has ended its run."],
	cancelled: ["Another program has stopped this answer."],
	context_length_exceeded: [
		"This conversation is too long for the model. Begin a new one, or edit an earlier message.",
	],
};

/** The crashes of one answer after which the page tries no more. */
export const MOST_CRASHES = 2;

/** An error of the service, or of the way to it. */
export class Problem extends Error {
	/**
	 * @param code a row of the table; any other has the message as it is.
	 * @param retryAfter seconds, if the service named them.
	 */
	constructor(code, message = "", retryAfter = null) {
		const [sentence, wait] = ROWS[code] ?? [];
		super(sentence ?? (message || "The service answered with an error."));
		this.code = code;
		this.detail = sentence && message && message !== sentence ? message : "";
		this.wait = wait ?? null;
		this.retryAfter = retryAfter;
	}
}

/** Return the problem in the body of an error, of any status, or amid a stream. */
export function problemOf(body, status = 0, retryAfter = null) {
	const error = body?.error ?? {};
	const code = status === 401 ? "invalid_api_key" : error.code || (status ? `http_${status}` : "");
	const seconds = parseFloat(retryAfter);
	const text = typeof error === "string" ? error : error.message;
	return new Problem(code, text, Number.isFinite(seconds) ? seconds : null);
}

/** Return the seconds to wait before a try: they double, up to fifteen. */
export function pause(tries) {
	return Math.min(2 ** tries, 15);
}
