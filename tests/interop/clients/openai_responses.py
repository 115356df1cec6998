"""The responses API of openai-python: prints what its user sees, as JSON."""

import json
import sys

import openai

_, address, model, question = sys.argv
client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
answer = client.responses.create(model=model, input=question)
seen = {"chat": answer.output_text, "reason": answer.status}
with client.responses.stream(model=model, input=question) as stream:
    seen["stream"] = [event.delta for event in stream if event.type == "response.output_text.delta"]
    seen["count"] = stream.get_final_response().usage.output_tokens
try:
    client.responses.create(model="missing", input=question)
except openai.NotFoundError as error:
    seen["missing"] = [error.status_code, error.code]
try:
    client.responses.create(model=model, input=question, previous_response_id="resp_1")
except openai.BadRequestError as error:
    seen["stateless"] = error.param
if model == "small":
    schema = {"type": "object", "properties": {"place": {"type": "string"}}}
    tools = [{"type": "function", "name": "look", "parameters": schema}, {"type": "web_search"}]
    items = [{"role": "user", "content": "How is the weather?"}]
    with client.responses.stream(model="able", input=items, tools=tools) as stream:
        output = stream.get_final_response().output
    (call,) = [item for item in output if item.type == "function_call"]
    seen["tool"] = [call.name, json.loads(call.arguments)]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    items += [item.model_dump(exclude_none=True) for item in output]
    seen["after"] = client.responses.create(
        model="able", input=[*items, result], tools=tools
    ).output_text
print(json.dumps(seen))
