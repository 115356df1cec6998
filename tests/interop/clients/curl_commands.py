"""curl: prints what its user sees, as JSON."""

import json
import subprocess
import sys

asked = json.loads(sys.argv[1])


def command(path, body, key=asked["key"]):
    return [
        *("curl", "--silent", "--show-error", "--no-buffer", "--max-time", "30"),
        *("--write-out", "\n%{http_code}", f"{asked['address']}/v1/{path}"),
        *("--header", f"Authorization: Bearer {key}", "--data", json.dumps(body)),
    ]


def post(path, body, key=asked["key"]):
    done = subprocess.run(command(path, body, key), capture_output=True, check=True)
    said, _, status = done.stdout.decode().rpartition("\n")
    return int(status), said


def request(model, text, **more):
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def whole(model, text, **more):
    _, said = post("chat/completions", request(model, text, **more))
    return json.loads(said)


def answer(model, text):
    return whole(model, text)["choices"][0]["message"]["content"]


def refused(model, key=asked["key"], **more):
    status, said = post("chat/completions", request(model, asked["question"], **more), key)
    error = json.loads(said)["error"]
    return [status, error["param"] or error["code"], error["message"]]


def events(said):
    return [line.removeprefix("data: ") for line in said.split("\n\n") if line.startswith("data")]


def content(chunks):
    return [one["choices"][0]["delta"].get("content", "") for one in chunks if one.get("choices")]


def broken():
    _, said = post("chat/completions", request("small", asked["failing"], stream=True))
    chunks = [json.loads(event) for event in events(said)]
    return ["".join(content(chunks)), chunks[-1]["error"]["message"]]


def cancelled():
    asking = command("chat/completions", request("small", asked["endless"], stream=True))
    with subprocess.Popen(asking, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.terminate()
    return answer("small", asked["question"])


def many():
    commands = [command("chat/completions", request("small", one)) for one in asked["many"]]
    running = [subprocess.Popen(one, stdout=subprocess.PIPE) for one in commands]
    said = [process.communicate()[0].decode().rpartition("\n")[0] for process in running]
    return [json.loads(one)["choices"][0]["message"]["content"] for one in said]


def tools():
    parameters = {"type": "object", "properties": {"place": {"type": "string"}}}
    look = {"type": "function", "function": {"name": "look", "parameters": parameters}}
    message = whole("able", asked["weather"], tools=[look])["choices"][0]["message"]
    (call,) = message["tool_calls"]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}
    body = request("able", asked["weather"], tools=[look])
    body["messages"] += [message, result]
    last = json.loads(post("chat/completions", body)[1])["choices"][0]["message"]["content"]
    return [call["function"]["name"], json.loads(call["function"]["arguments"]), last]


usage = {"stream": True, "stream_options": {"include_usage": True}}
_, streamed = post("chat/completions", request("small", asked["question"], **usage))
*chunks, done = events(streamed)
chunks = [json.loads(event) for event in chunks]
vectors = json.loads(post("embeddings", {"model": "vectors", "input": ["a", "b"]})[1])["data"]
print(
    json.dumps(
        {
            "chat": answer("small", asked["question"]),
            "stream": content(chunks),
            "count": chunks[-1]["usage"]["completion_tokens"],
            "engine": answer("tiny-pydocs-q8_0", asked["generator"]),
            "tools": tools(),
            "json": refused("small", response_format={"type": "json_object"}),
            "embeddings": [len(one["embedding"]) for one in vectors],
            "invalid": refused("small", temperature=9),
            "missing": refused("missing"),
            "key": refused("small", "wrong-key"),
            "broken": broken(),
            "cancelled": cancelled(),
            "many": many(),
            "done": done,
        }
    )
)
