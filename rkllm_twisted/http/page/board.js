// What is known of the board and the daemons.

import { $, announce, make, textButton } from "./dom.js";
import { boardRows } from "./progress.js";

/** Show the readings of the board, and how long the queue is. */
export function showBoard(status) {
	const rows = boardRows(status);
	const queue = status.daemons.reduce((sum, daemon) => sum + (daemon.queue_length ?? 0), 0);
	if (queue) rows.push({ name: "Queue", text: `${queue} waiting`, shares: [] });
	$("board").hidden = rows.length === 0;
	$("board").replaceChildren(
		...rows.map(({ name, text, shares }) =>
			make(
				"div.reading",
				{},
				make("span.name", {}, name),
				make("span.value", {}, text),
				make("span.meters", {}, shares.map((share) => meter(name, share))),
			),
		),
	);
}

function meter(name, share) {
	return make("meter", { min: 0, max: 1, low: 0.7, high: 0.9, optimum: 0, value: share, "aria-label": name });
}

const STATES = {
	empty: "No model is loaded",
	loading: "Loading a model",
	loaded: "Ready",
	running: "Busy",
	stuck: "The runtime is stuck",
	failed: "The runtime cannot start",
	closed: "The daemon is stopping",
	away: "Away",
};

/** Show a state in the header: `level` is good, busy or bad. */
export function showState(text, level) {
	$("state-text").textContent = text;
	$("state").dataset.level = level;
}

/** Show what the daemon does that answers for a model. */
export function showDaemonState(daemon) {
	const level = { loaded: "good", empty: "good", loading: "busy", running: "busy" }[daemon.state];
	const text = daemon.state === "empty" ? "Ready" : (STATES[daemon.state] ?? daemon.state);
	showState(daemon.problem && level === undefined ? `${text}: ${daemon.problem}` : text, level ?? "bad");
}

/** Show a problem above the prompt until it is over. */
export function showBanner(problem, seconds, retry) {
	const banner = $("banner");
	if (!problem) {
		if (!banner.hidden) announce("The service is back.");
		banner.hidden = true;
		banner.replaceChildren();
		return;
	}
	if (banner.hidden || banner.dataset.text !== problem.message) {
		banner.dataset.text = problem.message;
		banner.replaceChildren(
			make("strong", {}, problem.message),
			// Not said each second.
			make("span.countdown", { "aria-hidden": "true" }),
			textButton("Try now", retry),
		);
		banner.hidden = false;
	}
	banner.querySelector(".countdown").textContent = seconds ? ` Next try in ${seconds} s. ` : " Trying … ";
}
