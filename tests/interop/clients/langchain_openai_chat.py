"""langchain-openai: prints what its user sees, as JSON."""

import asyncio
import json
import sys

import openai
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_parts import ask_many, use_tool

asked = json.loads(sys.argv[1])


def reached(key):
    return {"base_url": f"{asked['address']}/v1", "api_key": key, "max_retries": 0}


def chat(model, key=asked["key"], **more):
    return ChatOpenAI(model=model, stream_usage=True, **reached(key), **more)


def refused(make):
    try:
        make()
    except openai.APIStatusError as error:
        return [error.status_code, error.param or error.code, error.body["message"]]


def broken():
    pieces = []
    try:
        pieces.extend(part.content for part in chat("small").stream(asked["failing"]))
    except openai.APIError as error:
        return ["".join(pieces), error.message]


def cancelled():
    stream = chat("small").stream(asked["endless"])
    while not next(stream).content:
        pass
    stream.close()
    return chat("small").invoke(asked["question"]).content


small = chat("small")
question = asked["question"]
parts = list(small.stream(question))
counted = [part for part in parts if part.usage_metadata]
schema = {"title": "one", "type": "object", "properties": {"place": {"type": "string"}}}
structured = small.with_structured_output(schema, method="json_schema")
# It would count tokens with OpenAI's own tokenizer, which it downloads.
plain = {"check_embedding_ctx_length": False}
vectors = OpenAIEmbeddings(model="vectors", **plain, **reached(asked["key"]))
print(
    json.dumps(
        {
            "chat": small.invoke(question).content,
            "stream": [part.content for part in parts],
            "count": sum(part.usage_metadata["output_tokens"] for part in counted),
            "engine": chat("tiny-pydocs-q8_0").invoke(asked["generator"]).content,
            "tools": use_tool(chat("able"), asked["weather"]),
            "json": refused(lambda: structured.invoke(question)),
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
