"""Bad input to chat gets one sentence each, and touches nobody else's run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from chat_templates import TEMPLATES
from daemons import Daemon, RawClient
from inference_rig import user
from vocabularies import tokenizer

from rkllm_twisted.offload.template_worker import CPU_LIMIT_VARIABLE

ANSWERS = 'run when "endless"\ntoken "on "\nhang until abort\nfinish\nrun\necho\n'
#: Name of a model -> its chat template.
MODELS = {
    "plain": None,
    "alternating": TEMPLATES["mistral"][0],
    "refusing": "{{ raise_exception('Not today') }}",
    "huge": "{% for one in range(100) %}{{ 'x' * 1000000 }}{% endfor %}",
    "product": "{{ 'x' * 100000000 }}",
    "broken": "{% for %}",
    "looping": "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "foreign": TEMPLATES["chatml"][0],
}
ANSWER = {"role": "assistant", "content": "Yes."}
TEN_MEGABYTES = "word " * 2_000_000


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Start a daemon with all the models. Of one, the tokenizer is another model's."""
    directory = tmp_path_factory.mktemp("daemon")
    models = directory / "models"
    for name, template in MODELS.items():
        (models / name).mkdir(parents=True)
        script = 'run\ntoken "zebra"\nfinish\n' if name == "foreign" else ANSWERS
        (models / name / f"{name}.script").write_text(f"#!rkllm-script 1\n{script}")
        if template is not None:
            (models / name / "chat_template.jinja").write_text(template)
    specials = {"bos_token": "<s>", "eos_token": "</s>"}
    (models / "alternating" / "tokenizer_config.json").write_text(json.dumps(specials))
    (models / "foreign" / "tokenizer.json").write_text(tokenizer("byte_level").to_str())
    (directory / "outside.script").write_text(f"#!rkllm-script 1\n{ANSWERS}")
    (models / "linked.script").symlink_to(directory / "outside.script")
    limit = ("env", f"{CPU_LIMIT_VARIABLE}=1")  # second, of the process that renders
    daemon = Daemon(directory, f"--model-dir={models}", wrapper=limit)
    yield daemon
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log.read_text()


@pytest.fixture
def client(daemon: Daemon) -> Iterator[RawClient]:
    with daemon.connect() as client:
        yield client


def is_one_sentence(text: str) -> bool:
    return text.endswith(".") and len(text.splitlines()) == 1 and len(text) < 500


def chat(client: RawClient, messages: list[Any], model: str = "plain", **params: Any) -> Any:
    """Ask, and return the answer's message whole."""
    return client.ask("chat.complete", {"messages": messages, "model": model, **params})


@attrs.frozen
class Bad:
    """One request that is refused.

    :param says: what its error says.
    """

    says: str
    messages: list[Any] = attrs.field(factory=lambda: [user("Hello")])
    model: str = "plain"
    code: int = -32602
    stop: str | None = None


BAD = {
    "a template that refuses": Bad("Not today", model="refusing"),
    "a template that writes 100 MB": Bad("writes more than", model="huge"),
    "a template that multiplies": Bad("too large a result", model="product"),
    "a template that loops": Bad("does not come to an end", model="looping", code=-32003),
    "a template that is none": Bad("TemplateSyntaxError", model="broken"),
    "another model's tokenizer": Bad("another model's", model="foreign", code=-32000),
    "a result without a call": Bad("messages[1]", [user("x"), {"role": "tool", "content": "1"}]),
    "an answer at the end": Bad("messages[1].role", [user("x"), ANSWER]),
    "an unknown role": Bad("messages[0].role", [{"role": "king", "content": "x"}]),
    "10 MB": Bad("context", [user(TEN_MEGABYTES)], "foreign"),
    "a stop text of 10 MB": Bad("stop[0]: has 10000000 characters", stop=TEN_MEGABYTES),
    "a name with ..": Bad("There is no model", model="../outside"),
    "a name with .. that leads back": Bad("There is no model", model="plain/../plain"),
    "a path": Bad("There is no model", model="/etc/passwd"),
    "a link that leads out": Bad("There is no model", model="linked"),
    "no name": Bad("There is no model", model=""),
    "NUL": Bad("There is no model", model="plain\0"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_it_is_refused_in_one_sentence(client: RawClient, bad: Bad) -> None:
    error = chat(client, bad.messages, bad.model, stop=bad.stop)["error"]
    assert error["code"] == bad.code, error
    assert bad.says in error["message"]
    assert is_one_sentence(error["message"])


def test_roles_that_do_not_alternate_are_joined_if_the_template_wants_that(
    client: RawClient,
) -> None:
    """The answer says so."""
    result = chat(client, [user("one"), user("two")], "alternating")["result"]
    assert result["changes"] == ["neighbours_joined"]


@pytest.mark.parametrize("name", ["PLAIN", "Plain"])
def test_a_name_in_other_letters_means_the_model(client: RawClient, name: str) -> None:
    assert chat(client, [user("Hello")], name)["result"]["model"] == "plain"


def test_2000_turns_are_read(client: RawClient) -> None:
    """The runtime, which has no room for them, says so, or they are read: the daemon goes on."""
    turns = [one for number in range(2000) for one in (user(f"zq{number}q"), ANSWER)]
    answer = chat(client, turns[:-1])
    assert "result" in answer or is_one_sentence(answer["error"]["message"])
    assert chat(client, [user("Hello")])["result"]["message"]["content"] == "Hello"


def test_none_of_it_touches_a_run_under_way(daemon: Daemon, client: RawClient) -> None:
    """Requests that are wrong before the NPU is used do not even wait for it."""
    with daemon.connect() as other:
        assert chat(other, [user("Hello")])["result"]["message"]["content"] == "Hello"
        other.send(
            {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "chat.complete",
                "params": {"messages": [user("endless")], "stream": True},
            }
        )
        assert other.line()["result"] == {"content": "on "}
        for name in ("a template that refuses", "a result without a call", "a link that leads out"):
            assert "error" in chat(client, BAD[name].messages, BAD[name].model)
        client.ask("rkllm.abort")
        result = other.line()["result"]
    assert (result["finish_reason"], result["message"]["content"]) == ("cancelled", "on ")
