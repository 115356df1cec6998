"""ollama-python: prints what its user sees, as JSON."""

import asyncio
import json
import sys

import ollama

asked = json.loads(sys.argv[1])
headers = {"Authorization": f"Bearer {asked['key']}"}
client = ollama.Client(host=asked["address"], headers=headers)


def saying(text):
    return [{"role": "user", "content": text}]


def answer(model, text, client=client, **more):
    return client.chat(model, saying(text), **more)


def refused(make):
    try:
        make()
    except ollama.ResponseError as error:
        return [error.status_code, "", error.error]


def broken():
    pieces = []
    try:
        stream = answer("small", asked["failing"], stream=True)
        pieces.extend(part.message.content for part in stream)
    except ollama.ResponseError as error:
        return ["".join(pieces), error.error]


def cancelled():
    stream = answer("small", asked["endless"], stream=True)
    next(stream)
    stream.close()
    return answer("small", asked["question"]).message.content


async def many():
    client = ollama.AsyncClient(host=asked["address"], headers=headers)
    calls = [answer("small", text, client) for text in asked["many"]]
    return [one.message.content for one in await asyncio.gather(*calls)]


def look(place: str) -> str:
    """Look at the weather.

    Args:
        place: where
    """
    return f"sunny in {place}"


def tools():
    messages = saying(asked["weather"])
    message = client.chat("able", messages, tools=[look]).message
    (call,) = message.tool_calls
    found = look(**call.function.arguments)
    messages += [message, {"role": "tool", "content": found, "tool_name": "look"}]
    last = client.chat("able", messages, tools=[look]).message.content
    return [call.function.name, call.function.arguments, last]


question = asked["question"]
parts = list(answer("small", question, stream=True))
wrong = ollama.Client(host=asked["address"], headers={"Authorization": "Bearer wrong-key"})
hot = {"temperature": 9}
print(
    json.dumps(
        {
            "chat": answer("small", question).message.content,
            "stream": [part.message.content for part in parts],
            "count": parts[-1].eval_count,
            "engine": answer("tiny-pydocs-q8_0", asked["generator"]).message.content,
            "tools": tools(),
            "json": refused(lambda: answer("small", question, format={"type": "object"})),
            "embeddings": [len(one) for one in client.embed("vectors", ["a", "b"]).embeddings],
            "invalid": refused(lambda: answer("small", question, options=hot)),
            "missing": refused(lambda: answer("missing", question)),
            "key": refused(lambda: answer("small", question, wrong)),
            "broken": broken(),
            "cancelled": cancelled(),
            "many": asyncio.run(many()),
            "models": [one.model for one in client.list().models],
            "generate": client.generate("small", question).response,
            "loaded": [one.model for one in client.ps().models],
            "pull": client.pull("small").status,
            "capabilities": client.show("able").capabilities,
            "unable": refused(lambda: client.chat("small", saying(question), tools=[look])),
        }
    )
)
