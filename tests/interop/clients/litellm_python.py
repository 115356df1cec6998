"""LiteLLM: prints what its user sees, as JSON.

``openai/`` before a model's name makes it speak OpenAI's API, ``ollama_chat/`` Ollama's. Its errors
are subclasses of openai's.
"""

import asyncio
import json
import sys

import litellm
import openai

asked = json.loads(sys.argv[1])
litellm.suppress_debug_info = True


def saying(text):
    return [{"role": "user", "content": text}]


def reached(key=asked["key"]):
    return {"api_base": f"{asked['address']}/v1", "api_key": key, "max_retries": 0}


def answer(model, text, key=asked["key"], **more):
    return litellm.completion(f"openai/{model}", saying(text), **reached(key), **more)


def refused(make):
    try:
        make()
    except openai.APIError as error:
        return [error.status_code, "", str(error)]


def broken():
    pieces = []
    try:
        chunks = answer("small", asked["failing"], stream=True)
        pieces.extend(chunk.choices[0].delta.content or "" for chunk in chunks)
    except openai.APIError as error:
        return ["".join(pieces), str(error)]


def cancelled():
    stream = answer("small", asked["endless"], stream=True)
    while not next(stream).choices[0].delta.content:
        pass
    stream.completion_stream.close()
    return answer("small", asked["question"]).choices[0].message.content


async def many():
    calls = [
        litellm.acompletion("openai/small", saying(text), **reached()) for text in asked["many"]
    ]
    return [one.choices[0].message.content for one in await asyncio.gather(*calls)]


def tools():
    schema = {"type": "object", "properties": {"place": {"type": "string"}}}
    function = {"name": "look", "description": "Look.", "parameters": schema}
    options = {"tools": [{"type": "function", "function": function}], **reached()}
    messages = saying(asked["weather"])
    message = litellm.completion("openai/able", messages, **options).choices[0].message
    (call,) = message.tool_calls
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    last = litellm.completion("openai/able", messages, **options)
    found = [call.function.name, json.loads(call.function.arguments)]
    return [*found, last.choices[0].message.content]


question = asked["question"]
form = {"type": "json_schema", "json_schema": {"name": "one", "schema": {"type": "object"}}}
usage = {"stream": True, "stream_options": {"include_usage": True}}
chunks = list(answer("small", question, **usage))
ollamas = litellm.completion(
    "ollama_chat/small", saying(question), api_base=asked["address"], api_key=asked["key"]
)
print(
    json.dumps(
        {
            "chat": answer("small", question).choices[0].message.content,
            "stream": [chunk.choices[0].delta.content for chunk in chunks if chunk.choices],
            "count": chunks[-1].usage.completion_tokens,
            "engine": answer("tiny-pydocs-q8_0", asked["generator"]).choices[0].message.content,
            "tools": tools(),
            "json": refused(lambda: answer("small", question, response_format=form)),
            "embeddings": [
                len(one["embedding"])
                for one in litellm.embedding("openai/vectors", ["a", "b"], **reached()).data
            ],
            "invalid": refused(lambda: answer("small", question, temperature=9)),
            "missing": refused(lambda: answer("missing", question)),
            "key": refused(lambda: answer("small", question, "wrong-key")),
            "broken": broken(),
            "cancelled": cancelled(),
            "many": asyncio.run(many()),
            "ollama": ollamas.choices[0].message.content,
        }
    )
)
