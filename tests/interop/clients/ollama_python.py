"""ollama-python: prints what its user sees, as JSON."""

import json
import sys

import ollama

_, address, model, question = sys.argv
client = ollama.Client(host=address)
messages = [{"role": "user", "content": question}]
seen = {
    "models": [one.model for one in client.list().models],
    "chat": client.chat(model, messages).message.content,
    "stream": [part.message.content for part in client.chat(model, messages, stream=True)],
    "generate": client.generate(model, question).response,
    "count": client.chat(model, messages).eval_count,
    "loaded": [one.model for one in client.ps().models],
    "pull": client.pull(model).status,
    "context": client.show(model).modelinfo is not None,
}
try:
    client.chat("missing", messages)
except ollama.ResponseError as error:
    seen["missing"] = [error.status_code, error.error]
if "able" in " ".join(seen["models"]):

    def look(place: str) -> str:
        """Look at the weather.

        Args:
            place: where
        """
        return f"sunny in {place}"

    asked = [{"role": "user", "content": "How is the weather?"}]
    answer = client.chat("able", asked, tools=[look])
    (call,) = answer.message.tool_calls
    found = {"role": "tool", "content": look(**call.function.arguments), "tool_name": "look"}
    seen["tool"] = [call.function.name, call.function.arguments]
    seen["after"] = client.chat("able", [*asked, answer.message, found]).message.content
    seen["capabilities"] = client.show("able").capabilities
    try:
        client.chat("small", asked, tools=[look])
    except ollama.ResponseError as error:
        seen["unable"] = [error.status_code, error.error]
else:
    seen["embed"] = [len(one) for one in client.embed("vectors", ["a", "b"]).embeddings]
print(json.dumps(seen))
