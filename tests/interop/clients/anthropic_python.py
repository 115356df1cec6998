"""The anthropic library: prints what its user sees, as JSON."""

import json
import sys

import anthropic

_, address, model, question = sys.argv
client = anthropic.Anthropic(base_url=address, api_key="none", max_retries=0)
messages = [{"role": "user", "content": question}]
answer = client.messages.create(model=model, max_tokens=64, messages=messages)
seen = {"chat": answer.content[0].text, "reason": answer.stop_reason}
with client.messages.stream(model=model, max_tokens=64, messages=messages) as stream:
    seen["stream"] = list(stream.text_stream)
    seen["count"] = stream.get_final_message().usage.output_tokens
try:
    client.messages.create(model="missing", max_tokens=9, messages=messages)
except anthropic.NotFoundError as error:
    seen["missing"] = [error.status_code, error.body["error"]["type"]]
try:
    client.messages.count_tokens(model=model, messages=messages)
except anthropic.BadRequestError as error:
    seen["uncounted"] = error.body["error"]["message"]
if model == "small":
    schema = {"type": "object", "properties": {"place": {"type": "string"}}}
    tools = [{"name": "look", "description": "Look.", "input_schema": schema}]
    asked = [{"role": "user", "content": "How is the weather?"}]
    options = {"model": "able", "max_tokens": 64, "tools": tools}
    with client.messages.stream(messages=asked, **options) as stream:
        answer = stream.get_final_message()
    (use,) = [block for block in answer.content if block.type == "tool_use"]
    seen["tool"] = [use.name, use.input]
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "sunny"}
    said = {"role": "assistant", "content": answer.content}
    asked += [said, {"role": "user", "content": [result]}]
    seen["after"] = client.messages.create(messages=asked, **options).content[0].text
print(json.dumps(seen))
