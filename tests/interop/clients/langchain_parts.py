"""What both programs of LangChain do with a model: a tool, and many questions at once."""

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool


@tool
def look(place: str) -> str:
    """Look at the weather."""
    return f"sunny in {place}"


def use_tool(model, question):
    able = model.bind_tools([look])
    messages = [HumanMessage(question)]
    called = able.invoke(messages)
    (call,) = called.tool_calls
    result = ToolMessage(look.invoke(call["args"]), tool_call_id=call["id"])
    return [call["name"], call["args"], able.invoke([*messages, called, result]).content]


async def ask_many(model, questions):
    return [one.content for one in await model.abatch(questions)]
