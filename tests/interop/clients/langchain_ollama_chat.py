"""langchain-ollama: prints what its user sees, as JSON."""

import asyncio
import json
import sys

import ollama
from langchain_ollama import ChatOllama, OllamaEmbeddings
from langchain_parts import ask_many, use_tool

asked = json.loads(sys.argv[1])


def reached(key):
    headers = {"Authorization": f"Bearer {key}"}
    return {"base_url": asked["address"], "client_kwargs": {"headers": headers}}


def chat(model, key=asked["key"], **more):
    return ChatOllama(model=model, **reached(key), **more)


def refused(make):
    try:
        make()
    except ollama.ResponseError as error:
        return [error.status_code, "", error.error]


def broken():
    pieces = []
    try:
        pieces.extend(part.content for part in chat("small").stream(asked["failing"]))
    except ollama.ResponseError as error:
        return ["".join(pieces), error.error]


def cancelled():
    stream = chat("small").stream(asked["endless"])
    next(stream)
    stream.close()
    return chat("small").invoke(asked["question"]).content


small = chat("small", validate_model_on_init=True)
question = asked["question"]
whole = small.invoke(question)
form = {"format": {"type": "object"}}
vectors = OllamaEmbeddings(model="vectors", **reached(asked["key"]))
print(
    json.dumps(
        {
            "chat": whole.content,
            "stream": [part.content for part in small.stream(question)],
            "count": whole.usage_metadata["output_tokens"],
            "engine": chat("tiny-pydocs-q8_0").invoke(asked["generator"]).content,
            "tools": use_tool(chat("able"), asked["weather"]),
            "json": refused(lambda: chat("small", **form).invoke(question)),
            "embeddings": [len(one) for one in vectors.embed_documents(["a", "b"])],
            "invalid": refused(lambda: chat("small", temperature=9).invoke(question)),
            "missing": refused(lambda: chat("missing").invoke(question)),
            "key": refused(lambda: chat("small", "wrong-key").invoke(question)),
            "broken": broken(),
            "cancelled": cancelled(),
            "many": asyncio.run(ask_many(chat("small"), asked["many"])),
        }
    )
)
