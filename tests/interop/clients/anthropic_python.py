"""The anthropic library: prints what its user sees, as JSON."""

import asyncio
import json
import sys

import anthropic

asked = json.loads(sys.argv[1])
reached = {"base_url": asked["address"], "max_retries": 0}
client = anthropic.Anthropic(api_key=asked["key"], **reached)


def saying(text):
    return [{"role": "user", "content": text}]


def answer(model, text, client=client, **more):
    options = {"model": model, "max_tokens": 64, **more}
    return client.messages.create(messages=saying(text), **options)


def refused(make):
    try:
        make()
    except anthropic.APIStatusError as error:
        return [error.status_code, error.body["error"]["type"], error.body["error"]["message"]]


def broken():
    pieces = []
    try:
        events = answer("small", asked["failing"], stream=True)
        pieces.extend(one.delta.text for one in events if one.type == "content_block_delta")
    except anthropic.APIError as error:
        return ["".join(pieces), error.message]


def cancelled():
    with answer("small", asked["endless"], stream=True) as stream:
        for event in stream:
            if event.type == "content_block_delta":
                break
    return answer("small", asked["question"]).content[0].text


async def many():
    async with anthropic.AsyncAnthropic(api_key=asked["key"], **reached) as client:
        calls = [answer("small", text, client) for text in asked["many"]]
        return [one.content[0].text for one in await asyncio.gather(*calls)]


def tools():
    schema = {"type": "object", "properties": {"place": {"type": "string"}}}
    tools = [{"name": "look", "description": "Look.", "input_schema": schema}]
    messages = saying(asked["weather"])
    options = {"model": "able", "max_tokens": 64, "tools": tools}
    with client.messages.stream(messages=messages, **options) as stream:
        message = stream.get_final_message()
    (use,) = [block for block in message.content if block.type == "tool_use"]
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "sunny"}
    messages.append({"role": "assistant", "content": message.content})
    messages.append({"role": "user", "content": [result]})
    last = client.messages.create(messages=messages, **options)
    return [use.name, use.input, last.content[0].text]


def ignored():
    config = {"effort": "low"}
    raw = client.messages.with_raw_response.create(
        model="small", max_tokens=64, messages=saying(asked["question"]), output_config=config
    )
    return raw.headers["x-rkllm-ignored"]


question = asked["question"]
with client.messages.stream(model="small", max_tokens=64, messages=saying(question)) as stream:
    pieces = list(stream.text_stream)
    whole = stream.get_final_message()
wrong = anthropic.Anthropic(api_key="wrong-key", **reached)
hot = {"temperature": 9}  # newer releases of the library have no parameter for it
count = {"model": "small", "messages": saying(question)}
print(
    json.dumps(
        {
            "chat": answer("small", question).content[0].text,
            "stream": pieces,
            "count": whole.usage.output_tokens,
            "engine": answer("tiny-pydocs-q8_0", asked["generator"]).content[0].text,
            "tools": tools(),
            "ignored": ignored(),
            "invalid": refused(lambda: answer("small", question, extra_body=hot)),
            "missing": refused(lambda: answer("missing", question)),
            "key": refused(lambda: answer("small", question, wrong)),
            "broken": broken(),
            "cancelled": cancelled(),
            "many": asyncio.run(many()),
            "reason": whole.stop_reason,
            "uncounted": refused(lambda: client.messages.count_tokens(**count)),
        }
    )
)
