"""langchain-ollama: prints what its user sees, as JSON."""

import json
import sys

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama, OllamaEmbeddings

_, address, model, question = sys.argv


@tool
def look(place: str) -> str:
    """Look at the weather."""
    return f"sunny in {place}"


chat = ChatOllama(model=model, base_url=address, validate_model_on_init=True)
answer = chat.invoke(question)
seen = {
    "chat": answer.content,
    "count": answer.usage_metadata["output_tokens"],
    "stream": [part.content for part in chat.stream(question)],
}
if model == "small":
    able = ChatOllama(model="able", base_url=address).bind_tools([look])
    asked = [HumanMessage("How is the weather?")]
    called = able.invoke(asked)
    (call,) = called.tool_calls
    seen["tool"] = [call["name"], call["args"]]
    result = ToolMessage(look.invoke(call["args"]), tool_call_id=call["id"])
    seen["after"] = able.invoke([*asked, called, result]).content
else:
    embeddings = OllamaEmbeddings(model="vectors", base_url=address)
    seen["embed"] = [len(one) for one in embeddings.embed_documents(["a", "b"])]
print(json.dumps(seen))
