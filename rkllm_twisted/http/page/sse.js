// Server-sent events from a stream of text that is cut anywhere. Pure.

/** Collects the data of events; comments and other fields are skipped. */
export class EventParser {
	#rest = "";
	#data = [];

	/** Take a piece of the stream, and return the data of the events that it completes. */
	feed(text) {
		const events = [];
		this.#rest += text;
		const lines = this.#rest.split(/\r\n|\n|\r(?!$)/); // a \r at the end may be half a \r\n
		this.#rest = lines.pop();
		for (const line of lines) {
			if (line === "") {
				if (this.#data.length) events.push(this.#data.join("\n"));
				this.#data = [];
			} else if (line.startsWith("data:")) {
				this.#data.push(line.slice(line[5] === " " ? 6 : 5));
			}
		}
		return events;
	}
}
