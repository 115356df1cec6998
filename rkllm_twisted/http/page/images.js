// Images for the next question: dropped, pasted, chosen or taken with a camera.

import { announce, iconButton, make } from "./dom.js";

/** The daemon reads at most so many in a message. */
const MOST = 8;
/** Encoders take at most 900 pixels; this keeps requests and conversations small. */
const LONGEST_SIDE = 1536;
const MOST_PNG_LETTERS = 1_500_000;
const READ = ["image/jpeg", "image/png", "image/webp"];

/** The images that wait for the next question. */
export class Tray {
	#images = [];
	#element;
	#fail;

	/** @param fail called with a sentence about what cannot be shown to the model. */
	constructor(element, fail) {
		this.#element = element;
		this.#fail = fail;
	}

	get isEmpty() {
		return this.#images.length === 0;
	}

	/** Return the images, and forget them. */
	take() {
		const taken = this.#images;
		this.#images = [];
		this.#draw();
		return taken;
	}

	/** Add the images among some files. */
	async add(files) {
		for (const file of files) {
			if (this.#images.length >= MOST) {
				this.#fail(`A message has at most ${MOST} images.`);
				break;
			}
			try {
				this.#images.push(await encoded(file));
			} catch {
				this.#fail(`${file.name || "What was pasted"} is no JPEG, PNG or WebP picture that can be read.`);
			}
		}
		this.#draw();
		if (!this.isEmpty) announce(`${this.#images.length} images go with the next message.`);
	}

	#draw() {
		this.#element.hidden = this.isEmpty;
		this.#element.replaceChildren(...this.#images.map((image, at) => this.#item(image, at)));
	}

	#item(image, at) {
		const leave = () => {
			this.#images.splice(at, 1);
			this.#draw();
		};
		return make(
			"span.attached",
			{},
			make("img", { src: image, alt: `Image ${at + 1}` }),
			iconButton("close", `Remove image ${at + 1}`, leave),
		);
	}
}

/** Return the image files of the clipboard. */
export function filesOf(transfer) {
	return Array.from(transfer?.files ?? []).filter((file) => file.type.startsWith("image/"));
}

/** Return a picture as a data: URI, upright and no larger than needed. */
async function encoded(file) {
	if (!READ.includes(file.type)) throw new TypeError(file.type);
	const bitmap = await createImageBitmap(file); // turned as its EXIF orientation says
	const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
	const width = Math.max(1, Math.round(bitmap.width * scale));
	const height = Math.max(1, Math.round(bitmap.height * scale));
	const canvas = make("canvas", { width, height });
	const context = canvas.getContext("2d");
	context.fillStyle = "#fff"; // below transparent parts, as the daemon has it
	context.fillRect(0, 0, width, height);
	context.drawImage(bitmap, 0, 0, width, height);
	bitmap.close();
	const png = file.type === "image/png" ? canvas.toDataURL("image/png") : "";
	return png && png.length < MOST_PNG_LETTERS ? png : canvas.toDataURL("image/jpeg", 0.92);
}
