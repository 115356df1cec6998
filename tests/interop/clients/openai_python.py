"""The chat completions of openai-python: prints what its user sees, as JSON."""

import asyncio
import json
import sys

import openai

asked = json.loads(sys.argv[1])
reached = {"base_url": f"{asked['address']}/v1", "max_retries": 0}
client = openai.OpenAI(api_key=asked["key"], **reached)


def saying(text):
    return [{"role": "user", "content": text}]


def answer(model, text, client=client, **more):
    return client.chat.completions.create(model=model, messages=saying(text), **more)


def refused(make):
    try:
        make()
    except openai.APIStatusError as error:
        return [error.status_code, error.param or error.code, error.body["message"]]


def streamed(text, **more):
    stream = answer("small", text, stream=True, stream_options={"include_usage": True}, **more)
    return list(stream)


def broken():
    pieces = []
    try:
        chunks = answer("small", asked["failing"], stream=True)
        pieces.extend(chunk.choices[0].delta.content or "" for chunk in chunks)
    except openai.APIError as error:
        return ["".join(pieces), error.message]


def cancelled():
    with answer("small", asked["endless"], stream=True) as stream:
        for chunk in stream:
            if chunk.choices[0].delta.content:
                break
    return answer("small", asked["question"]).choices[0].message.content


async def many():
    async with openai.AsyncOpenAI(api_key=asked["key"], **reached) as client:
        calls = [answer("small", text, client) for text in asked["many"]]
        return [one.choices[0].message.content for one in await asyncio.gather(*calls)]


def tools():
    schema = {"type": "object", "properties": {"place": {"type": "string"}}}
    function = {"name": "look", "description": "Look.", "parameters": schema}
    options = {"model": "able", "tools": [{"type": "function", "function": function}]}
    messages = saying(asked["weather"])
    with client.chat.completions.stream(messages=messages, **options) as stream:
        message = stream.get_final_completion().choices[0].message
    (call,) = message.tool_calls
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    last = client.chat.completions.create(messages=messages, **options)
    found = [call.function.name, json.loads(call.function.arguments)]
    return [*found, last.choices[0].message.content]


chunks = streamed(asked["question"])
wrong = openai.OpenAI(api_key="wrong-key", **reached)
form = {"type": "json_schema", "json_schema": {"name": "one", "schema": {"type": "object"}}}
print(
    json.dumps(
        {
            "chat": answer("small", asked["question"]).choices[0].message.content,
            "stream": [c.choices[0].delta.content for c in chunks if c.choices],
            "count": chunks[-1].usage.completion_tokens,
            "engine": answer("tiny-pydocs-q8_0", asked["generator"]).choices[0].message.content,
            "tools": tools(),
            "json": refused(lambda: answer("small", asked["question"], response_format=form)),
            "embeddings": [
                len(one.embedding)
                for one in client.embeddings.create(model="vectors", input=["a", "b"]).data
            ],
            "invalid": refused(lambda: answer("small", asked["question"], temperature=9)),
            "missing": refused(lambda: answer("missing", asked["question"])),
            "key": refused(lambda: answer("small", asked["question"], wrong)),
            "broken": broken(),
            "cancelled": cancelled(),
            "many": asyncio.run(many()),
            "models": [one.id for one in client.models.list()],
        }
    )
)
