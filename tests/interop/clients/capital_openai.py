"""openai-python asks a real model, whole and in pieces: prints texts and counts, as JSON."""

import json
import sys

import openai

address, model, question = sys.argv[1:]
client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
asked = {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": 48}
whole = client.chat.completions.create(**asked)
usage = {"stream": True, "stream_options": {"include_usage": True}}
chunks = list(client.chat.completions.create(**asked, **usage))
pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
print(
    json.dumps(
        {
            "whole": whole.choices[0].message.content,
            "pieces": pieces,
            "counts": [
                [usage.prompt_tokens, usage.completion_tokens]
                for usage in (whole.usage, chunks[-1].usage)
            ],
        }
    )
)
