"""ollama-python asks a real model, whole and in pieces: prints texts and counts, as JSON."""

import json
import sys

import ollama

address, model, question = sys.argv[1:]
client = ollama.Client(host=address)
asked = {"model": model, "messages": [{"role": "user", "content": question}]}
asked["options"] = {"num_predict": 48}
whole = client.chat(**asked)
parts = list(client.chat(**asked, stream=True))
print(
    json.dumps(
        {
            "whole": whole.message.content,
            "pieces": [part.message.content for part in parts],
            "counts": [[one.prompt_eval_count, one.eval_count] for one in (whole, parts[-1])],
        }
    )
)
