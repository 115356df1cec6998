// Watches the service: its status while it answers, and whether it is back when it does not.

import * as api from "./api.js";
import { Problem, pause } from "./problems.js";

const CALM_MS = 4000;
const BUSY_MS = 600;

const wait = (milliseconds, signal) =>
	new Promise((resolve, reject) => {
		const timer = setTimeout(resolve, milliseconds);
		signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
	});

/**
 * Asks for /status again and again while the page is seen.
 *
 * Events: "status" (`detail`: the status), "away" (`detail`: the Problem), "back", and "countdown"
 * (`detail`: seconds until the next try).
 */
export class Watch extends EventTarget {
	status = null;
	#away = null; // the Problem, while there is one
	#told = null; // its code, once that was said
	#isBusy = false;
	#hurry = new AbortController();
	#isHurried = false;
	#returns = [];

	/** Watch closely while a request has no answer yet. */
	set busy(isBusy) {
		this.#isBusy = isBusy;
		this.now();
	}

	get away() {
		return this.#away;
	}

	/** Look now, and say it again if the problem is still there. */
	again() {
		this.#told = null;
		this.now();
	}

	/** Do the next look now. */
	now() {
		this.#isHurried = true;
		this.#hurry.abort();
	}

	async run() {
		for (let tries = 0; ; ) {
			if (!document.hidden || this.#returns.length) {
				await this.#look();
				tries = this.#away ? tries + 1 : 0;
			}
			const seconds = this.#away ? pause(tries - 1) : 0;
			await this.#sleep(seconds * 1000 || (this.#isBusy ? BUSY_MS : CALM_MS));
		}
	}

	/** Return a promise of the time to ask again after a problem. */
	async comeback(problem, signal) {
		if (problem.wait === "later") return wait((problem.retryAfter ?? 2) * 1000, signal);
		this.#goAway(problem);
		const returned = new Promise((resolve, reject) => {
			this.#returns.push(resolve);
			signal.addEventListener("abort", () => reject(signal.reason), { once: true });
		});
		this.now();
		return returned;
	}

	async #look() {
		try {
			if (this.#away) await this.#askAgain();
			const status = await api.status();
			const away = status.daemons.every((daemon) => daemon.state === "away") && status.daemons[0];
			if (away) throw new Problem("daemon_unavailable", away.problem);
			// Without a model only a folder of models helps, which /ready knows of.
			if (status.daemons.every((daemon) => ["away", "empty"].includes(daemon.state))) await api.ready();
			this.status = status;
			this.#comeBack();
			this.#tell("status", status);
		} catch (error) {
			if (error instanceof Problem) this.#goAway(error);
			else this.#goAway(new Problem("offline")); // it took too long
		}
	}

	async #askAgain() {
		// Whether a model can answer. A wrong key is another matter: /ready needs none.
		if (this.#away.code !== "invalid_api_key") await api.ready();
	}

	#goAway(problem) {
		this.#away = problem;
		if (this.#told !== problem.code) this.#tell("away", problem);
		this.#told = problem.code;
	}

	#comeBack() {
		const returns = this.#returns.splice(0);
		if (this.#away) {
			this.#away = this.#told = null;
			this.#tell("back", null);
		}
		for (const resolve of returns) resolve();
	}

	async #sleep(milliseconds) {
		this.#hurry = new AbortController();
		const until = performance.now() + milliseconds;
		try {
			while (!this.#isHurried && performance.now() < until) {
				const left = until - performance.now();
				if (this.#away) this.#tell("countdown", Math.ceil(left / 1000));
				await wait(Math.min(left, this.#away ? 1000 : left), this.#hurry.signal);
			}
		} catch {
			// in a hurry
		}
		this.#isHurried = false;
	}

	#tell(name, detail) {
		this.dispatchEvent(new CustomEvent(name, { detail }));
	}
}
