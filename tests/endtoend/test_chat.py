"""chat.complete of a real daemon, as docs/chat.md shows it."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemons import MAX_WAIT_S, Daemon, RawClient
from documented_answers import fits
from inference_rig import furnish, user
from vocabularies import vocabulary

from rkllm_twisted.cpu import demo_model

Start = Callable[..., Daemon]
PAGE = Path(__file__).parents[2] / "docs" / "chat.md"


@pytest.fixture
def client(start: Start) -> Iterator[RawClient]:
    with start().connect() as client:
        param = {"model_path": str(demo_model()), "top_k": 1}
        assert "result" in client.ask("rkllm.init", {"param": param})
        yield client


def test_the_pages_requests_are_answered_as_it_shows(client: RawClient) -> None:
    lines = re.findall(r"^([→←]) (.+)$", PAGE.read_text(), re.MULTILINE)
    for direction, line in lines:
        message = json.loads(line)
        if direction == "→":
            client.send(message)
        else:
            real = client.line()
            assert fits(message, real), f"documented: {message}\nreal:       {real}"


def test_two_clients_talk_at_once_and_a_run_between_them_reads_neither(client: RawClient) -> None:
    """Each answer is the same as that of a conversation alone."""
    first = [{"role": "user", "content": "What is a generator?"}]
    second = [{"role": "user", "content": "What is a list?"}]
    prompt = {"rkllm_input": {"role": "user", "prompt_input": "What is a set?"}}
    alone = [
        client.ask("chat.complete", {"messages": first})["result"]["message"],
        client.ask("chat.complete", {"messages": second})["result"]["message"],
        client.ask("rkllm.run", prompt)["result"]["text"],
    ]
    for _ in range(2):
        asked = client.ask("chat.complete", {"messages": first, "stream": True})
        text = ""
        while "finish_reason" not in asked["result"]:
            text += asked["result"]["content"]
            asked = client.line()
        assert asked["result"]["message"]["content"] == text
        both = [asked["result"]["message"]]
        both.append(client.ask("chat.complete", {"messages": second})["result"]["message"])
        assert [*both, client.ask("rkllm.run", prompt)["result"]["text"]] == alone


SCRIPT = """#!rkllm-script 1
run when "Wait"
wait "{}"
run
token "Yes."
"""


def test_waiting_requests_of_one_conversation_are_served_together(
    start: Start, tmp_path: Path
) -> None:
    """A A B B in place of A B A B: each second request finds its conversation in the cache."""
    model, go_on = tmp_path / "yes.script", tmp_path / "go_on"
    model.write_text(SCRIPT.format(go_on))
    more = [{"role": "assistant", "content": "Yes."}, {"role": "user", "content": "Why?"}]
    asked = {}
    for name in "ab":
        first = {"role": "user", "content": f"Is it {name}?"}
        asked |= {f"{name}1": [first], f"{name}2": [first, *more]}
    daemon = start()
    daemon.load(model)
    with daemon.connect() as client, daemon.connect() as other:
        run = {"method": "rkllm.run", "params": [{"prompt_input": "Wait"}]}
        client.send({"jsonrpc": "2.0", "id": "run", **run})
        for waiting, name in enumerate(("a1", "b1", "a2", "b2"), 1):
            chat = {"method": "chat.complete", "params": {"messages": asked[name]}}
            client.send({"jsonrpc": "2.0", "id": name, **chat})
            deadline = time.monotonic() + MAX_WAIT_S
            while other.ask("server.status")["result"]["queue_length"] < waiting:
                assert time.monotonic() < deadline, f"{name} does not wait"
                time.sleep(0.01)  # the status is the only sign that it waits
        go_on.touch()
        assert client.line()["id"] == "run"
        answers = [client.line() for _ in asked]
    assert [one["id"] for one in answers] == ["a1", "a2", "b1", "b2"]
    cached = [one["result"]["usage"]["cached_tokens"] for one in answers]
    assert cached[0] == cached[2] == 0
    assert min(cached[1], cached[3]) > 0


def test_a_long_prompt_that_comes_back_is_saved_for_this_daemon_only(
    start: Start, tmp_path: Path
) -> None:
    """A daemon that is killed leaves the file. The next one does not take it, but removes it."""
    model = furnish(tmp_path / "models", "tokens", "yes")
    ids = vocabulary("byte_level").encode_text("Yes.")
    answer = "".join(f'token "{vocabulary("byte_level").decode([one])}" {one}\n' for one in ids)
    model.write_text(f"#!rkllm-script 1\nrun\nprefill 1100\n{answer}run\n{answer}")
    cache_dir = tmp_path / "cache"
    cache_dir.mkdir()
    options = (f"--model-dir={tmp_path / 'models'}", f"--cache-dir={cache_dir}")
    params = {"messages": [user("Is it so?")], "model": "yes"}

    def ask(daemon: Daemon, times: int) -> list[Path]:
        with daemon.connect() as client:
            for _ in range(times):
                answer = client.ask("chat.complete", params)
                assert answer["result"]["message"]["content"] == "Yes.", answer
            client.ask("rkllm.run", [{"prompt_input": "x"}])  # the cache is another's then
        return list((cache_dir / "rkllm-prompts").iterdir())

    first = start(*options)
    assert ask(first, 1) == []
    (file,) = ask(first, 1)
    assert [oct(path.stat().st_mode & 0o777) for path in (file, file.parent)] == ["0o600", "0o700"]
    first.stop(signal.SIGKILL)
    (file.parent / "notes").touch()
    assert ask(start(*options), 1) == [file.parent / "notes"]


def test_a_daemon_imports_nothing_of_chat_before_it_is_asked(start: Start) -> None:
    """The parts that only chat needs are not in the memory of a daemon without it."""
    daemon = start()
    with daemon.connect() as client:
        client.ask("server.ping")
    maps = Path(f"/proc/{daemon.process.pid}/maps").read_text()
    assert "tokenizers" not in maps


MISTRAL = """\
<s>{% if tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}
{%- for m in messages %}
{%- if m.role == 'user' %}[INST]{{ m.content }}[/INST]
{%- elif m.tool_calls %}[TOOL_CALLS]{{ m.tool_calls | tojson }}</s>
{%- else %}{{ m.content }}</s>
{%- endif %}{% endfor %}"""
#: A call, an end token that the runtime does not know, and what would come after it.
CALLS = r"""#!rkllm-script 1
run
  control "[TOOL_CALLS]"
  token "[{\"name\": \"weather\", \"arguments\": {}}]"
  control "</s>"
  token "never"
"""
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def test_marks_of_calls_that_are_special_tokens_arrive(start: Start, tmp_path: Path) -> None:
    """The daemon loads such a model with their text; a client that does not is told."""
    folder = tmp_path / "Mistral-7B"
    folder.mkdir()
    (folder / "m.script").write_text(CALLS)
    (folder / "chat_template.jinja").write_text(MISTRAL)
    asked = {"messages": [user("Is it warm?")], "tools": [WEATHER]}
    with start(f"--model-dir={tmp_path}").connect() as client:
        assert client.ask("models.show", ["Mistral-7B"])["result"]["param"] == {
            "model_path": str(folder / "m.script"),
            "skip_special_token": False,
        }
        named = client.ask("chat.complete", {**asked, "model": "Mistral-7B"})["result"]
        (call,) = named["message"]["tool_calls"]
        assert call["function"]["name"] == "weather"
        assert (named["tier"], named["changes"]) == ("template", [])
        raw = client.ask("rkllm.run", [{"prompt_input": "x"}])["result"]["text"]
        assert raw.startswith("[TOOL_CALLS]")
        assert "never" not in raw
        client.ask("rkllm.init", [{"model_path": str(folder / "m.script")}])
        hidden = client.ask("chat.complete", asked)["result"]
        assert "tool_calls" not in hidden["message"]
        assert hidden["changes"] == ["tool_marks_hidden"]
