"""The responses API of openai-python: prints what its user sees, as JSON."""

import asyncio
import json
import sys

import openai

asked = json.loads(sys.argv[1])
reached = {"base_url": f"{asked['address']}/v1", "max_retries": 0}
client = openai.OpenAI(api_key=asked["key"], **reached)


def answer(model, items, client=client, **more):
    return client.responses.create(model=model, input=items, **more)


def refused(make):
    try:
        make()
    except openai.APIStatusError as error:
        return [error.status_code, error.param or error.code, error.body["message"]]


def broken():
    pieces = []
    try:
        events = answer("small", asked["failing"], stream=True)
        pieces.extend(one.delta for one in events if one.type == "response.output_text.delta")
    except openai.APIError as error:
        return ["".join(pieces), error.message]


def cancelled():
    with answer("small", asked["endless"], stream=True) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                break
    return answer("small", asked["question"]).output_text


async def many():
    async with openai.AsyncOpenAI(api_key=asked["key"], **reached) as client:
        calls = [answer("small", text, client) for text in asked["many"]]
        return [one.output_text for one in await asyncio.gather(*calls)]


def tools():
    schema = {"type": "object", "properties": {"place": {"type": "string"}}}
    tools = [{"type": "function", "name": "look", "parameters": schema}, {"type": "web_search"}]
    items = [{"role": "user", "content": asked["weather"]}]
    with client.responses.stream(model="able", input=items, tools=tools) as stream:
        output = stream.get_final_response().output
    (call,) = [item for item in output if item.type == "function_call"]
    items += [item.model_dump(exclude_none=True) for item in output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
    last = answer("able", items, tools=tools)
    return [call.name, json.loads(call.arguments), last.output_text]


with client.responses.stream(model="small", input=asked["question"]) as stream:
    pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
    whole = stream.get_final_response()
wrong = openai.OpenAI(api_key="wrong-key", **reached)
form = {"format": {"type": "json_schema", "name": "one", "schema": {"type": "object"}}}
question = asked["question"]
print(
    json.dumps(
        {
            "chat": answer("small", question).output_text,
            "stream": pieces,
            "count": whole.usage.output_tokens,
            "engine": answer("tiny-pydocs-q8_0", asked["generator"]).output_text,
            "tools": tools(),
            "json": refused(lambda: answer("small", question, text=form)),
            "invalid": refused(lambda: answer("small", question, temperature=9)),
            "missing": refused(lambda: answer("missing", question)),
            "key": refused(lambda: answer("small", question, wrong)),
            "broken": broken(),
            "cancelled": cancelled(),
            "many": asyncio.run(many()),
            "status": whole.status,
            "stateless": refused(lambda: answer("small", question, previous_response_id="resp_1")),
        }
    )
)
