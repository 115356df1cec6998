// Conversations: a tree of messages, of which one path is shown. Pure.
//
// Asking again adds a second answer beside the first, and an edited question stands beside the old
// one: nothing that was written is lost.

/** Return an empty conversation. */
export function newConversation(id, now) {
	return { id, title: "", created: now, updated: now, system: "", messages: {}, leaf: null };
}

/** What a message has beside its id, role, parent and time. */
export const EMPTY = {
	content: "",
	images: [],
	reasoning: "",
	calls: [],
	callId: "",
	model: "",
	end: "stop",
	problem: "",
	notes: [],
	figures: "",
};

/** Return the messages that are shown, from the first to the last. */
export function path(conversation) {
	const found = [];
	let id = conversation.leaf;
	while (id !== null && conversation.messages[id]) {
		found.unshift(conversation.messages[id]);
		id = conversation.messages[id].parent;
	}
	return found;
}

/** Add a message behind another (null: as the first one), and show it. */
export function add(conversation, message, parent = conversation.leaf) {
	conversation.messages[message.id] = { ...message, parent };
	conversation.leaf = message.id;
	if (!conversation.title && message.role === "user") conversation.title = titleOf(message.content) || "Image";
	return conversation.messages[message.id];
}

/** Return the ids of a message and of those that stand beside it, the oldest first. */
export function siblings(conversation, id) {
	const { parent, role } = conversation.messages[id];
	return Object.values(conversation.messages)
		.filter((message) => message.parent === parent && message.role === role)
		.sort((one, other) => one.created - other.created)
		.map((message) => message.id);
}

/** Show a message, and the newest that follow it. */
export function show(conversation, id) {
	let leaf = id;
	for (;;) {
		const next = Object.values(conversation.messages).filter((message) => message.parent === leaf);
		if (!next.length) break;
		leaf = next.reduce((one, other) => (other.created >= one.created ? other : one)).id;
	}
	conversation.leaf = leaf;
}

/** Return the messages for the API that lead to an answer: all that are shown before it. */
export function request(conversation, answerId) {
	const messages = [];
	if (conversation.system.trim()) messages.push({ role: "system", content: conversation.system });
	for (const message of path(conversation)) {
		if (message.id === answerId) break;
		const sent = asSent(message);
		if (sent) messages.push(sent);
	}
	return messages;
}

function asSent({ role, content, images, reasoning, calls, callId }) {
	if (role === "tool") return { role, content, tool_call_id: callId };
	if (role === "user" && images?.length) {
		const parts = images.map((url) => ({ type: "image_url", image_url: { url } }));
		return { role, content: [...parts, { type: "text", text: content }] };
	}
	if (role === "user") return { role, content };
	if (!content && !calls?.length) return null; // an answer that failed
	const sent = { role, content };
	if (reasoning) sent.reasoning_content = reasoning;
	if (calls?.length) {
		sent.tool_calls = calls.map(({ id, name, arguments: text }) => ({
			id,
			type: "function",
			function: { name, arguments: text },
		}));
	}
	return sent;
}

/** Return a title: the beginning of the first question. */
export function titleOf(text) {
	const line = text.trim().replace(/\s+/g, " ");
	const letters = [...line];
	return letters.length <= 60 ? line : `${letters.slice(0, 59).join("").trimEnd()}…`;
}

const FORMAT = "rkllm-chat";

/** Return conversations as the text of a file. */
export function exported(conversations) {
	return JSON.stringify({ format: FORMAT, version: 1, conversations }, null, 1);
}

/**
 * Read the text of a file with conversations. What is unknown in it is left out.
 * @throws {Error} with a sentence that says what is wrong.
 */
export function imported(text) {
	let value;
	try {
		value = JSON.parse(text);
	} catch {
		throw new Error("This file is not JSON; choose one that was exported here.");
	}
	if (value?.format !== FORMAT || !Array.isArray(value.conversations)) {
		throw new Error("This file has no conversations; choose one that was exported here.");
	}
	return value.conversations.map(conversationOf);
}

/** What `images` of a message may hold: an image itself, never an address. */
const IMAGE = /^data:image\/(?:jpeg|png|webp);base64,[0-9A-Za-z+/]+={0,2}$/;
const ID = /^[0-9A-Za-z-]{1,64}$/;
const TEXT = (value) => (typeof value === "string" ? value : "");
const NUMBER = (value) => (Number.isFinite(value) ? value : 0);
// How the items of a message's lists are read; what comes out empty is left out.
const ITEMS = {
	images: (one) => IMAGE.test(TEXT(one)) && one,
	calls: (one) => ({ id: TEXT(one?.id), name: TEXT(one?.name), arguments: TEXT(one?.arguments) }),
	notes: TEXT,
};

function conversationOf(value) {
	const messages = {};
	for (const one of Object.values(value?.messages ?? {})) {
		const message = messageOf(one);
		if (message) messages[message.id] = message;
	}
	if (!ID.test(TEXT(value?.id))) {
		throw new Error("A conversation in this file has no usable id; nothing was imported.");
	}
	for (const message of Object.values(messages)) checkParents(messages, message);
	return {
		id: value.id,
		title: TEXT(value.title),
		created: NUMBER(value.created),
		updated: NUMBER(value.updated),
		system: TEXT(value.system),
		messages,
		leaf: Object.hasOwn(messages, value.leaf ?? "") ? value.leaf : null,
	};
}

function messageOf(value) {
	if (!ID.test(TEXT(value?.id)) || !["user", "assistant", "tool"].includes(value.role)) return null;
	const { id, role } = value;
	const message = { id, role, parent: TEXT(value.parent) || null, created: NUMBER(value.created) };
	for (const [name, empty] of Object.entries(EMPTY)) {
		const given = value[name];
		if (ITEMS[name]) message[name] = (Array.isArray(given) ? given : []).map(ITEMS[name]).filter(Boolean);
		else message[name] = TEXT(given) || empty;
	}
	return message;
}

/** Cut a chain that ends nowhere, or in itself. */
function checkParents(messages, message) {
	const seen = new Set();
	for (let one = message; one; one = messages[one.parent]) {
		if (seen.has(one.id)) {
			message.parent = null;
			return;
		}
		seen.add(one.id);
		if (one.parent !== null && !Object.hasOwn(messages, one.parent)) one.parent = null;
	}
}
