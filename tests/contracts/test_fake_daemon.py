"""A fake daemon of each form sends the same bytes as the real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from raw_clients import KINDS, Partner

from rkllm_twisted.errors import MethodNotFound

Asked = tuple[str, object, list[str]]

EMPTY = (
    '"last_hidden_layer":{"hidden_states":null,"embd_size":0,"num_tokens":0},'
    '"logits":{"logits":null,"vocab_size":0,"num_tokens":0},"perf":"PERF"'
)


def result(text: str | None, token: int, state: int) -> str:
    """An RKLLMResult of 1.2.1 or later."""
    said = json.dumps(text, ensure_ascii=False)
    return f'{{"text":{said},"token_id":{token},{EMPTY},"_callback_state":{state}}}'


def answer(value: str, request_id: str = "1") -> str:
    return f'{{"jsonrpc":"2.0","id":{request_id},"result":{value}}}'


def refusal(code: int, message: str, data: str = "", request_id: str = "1") -> str:
    more = f',"data":{data}' if data else ""
    error = f'{{"code":{code},"message":{json.dumps(message)}{more}}}'
    return f'{{"jsonrpc":"2.0","id":{request_id},"error":{error}}}'


def prompt(text: str) -> list[object]:
    return [{"prompt_input": text}]


def call(method: str, *params: object) -> dict[str, object]:
    """A call in a sequence."""
    return {"method": method, "params": [*params]}


def part(text: str, token: int, index: int) -> str:
    """A partial result of a run in a sequence."""
    return f'{result(text, token, 0)[:-1]},"_call_index":{index}}}'


DONE = '{"success":true,"status_code":0}'
NO_MODEL = refusal(
    -32001, "No model is loaded; load one with rkllm.init, or by its name with models.load."
)
NO_MODEL_AFTER_CRASH = refusal(
    -32001,
    "No model is loaded, because the runtime's process was killed by SIGSEGV; load one with"
    " rkllm.init, or by its name with models.load.",
    '{"problem":"was killed by SIGSEGV"}',
)
LAST = answer(result("", -1, 2))
CRASHED = "The runtime's process was killed by SIGSEGV; load the model again with rkllm.init."
#: Name -> requests, in order, on a connection to a daemon with a model, and the expected
#: lines.
CONVERSATIONS: dict[str, list[Asked]] = {
    "a run streams": [
        (
            "rkllm.run_async",
            prompt("hello"),
            [answer(result("Hello", 0, 0)), answer(result(" world", 1, 0)), LAST],
        )
    ],
    "a run in one piece": [
        ("rkllm.run", prompt("hello"), [answer(result("Hello world", -1, 2))]),
    ],
    "as notifications": [
        (
            "server.configure",
            {"stream": "notifications"},
            [answer('{"stream":"notifications","floats":"json"}')],
        ),
        (
            "rkllm.run_async",
            prompt("hello"),
            [
                '{"jsonrpc":"2.0","method":"rkllm.result","params":'
                f'{{"id":1,"seq":{number},"result":{result(text, number, 0)}}}}}'
                for number, text in enumerate(["Hello", " world"])
            ]
            + [LAST],
        ),
    ],
    "a character in two pieces": [
        (
            "rkllm.run_async",
            prompt("half"),
            [
                answer(result("a", 0, 0)),
                answer(result("", 1, 1)),
                answer(result("é", 2, 0)),
                LAST,
            ],
        ),
        ("rkllm.run", prompt("half"), [answer(result("aé", -1, 2))]),
    ],
    "a run that fails": [
        (
            "rkllm.run_async",
            prompt("fails"),
            [answer(result("so far", 0, 0)), answer(result("", -1, 3))],
        ),
        (
            "rkllm.run",
            prompt("fails"),
            [
                refusal(
                    -32000,
                    "The run ended in an error; the runtime's log lines say why.",
                    '{"function":"rkllm_run","status_code":-1}',
                )
            ],
        ),
    ],
    "a run without FINISH": [
        (
            "rkllm.run_async",
            prompt("silent"),
            [answer(result("no end", 0, 0)), answer(result(None, -1, 2))],
        )
    ],
    "a crash": [
        (
            "rkllm.run_async",
            prompt("crashes"),
            [
                answer(result("Once", 0, 0)),
                answer(result(" upon", 1, 0)),
                refusal(-32004, CRASHED, '{"signal":11,"lines":"LINES"}'),
            ],
        ),
        ("rkllm.run", prompt("hello"), [NO_MODEL_AFTER_CRASH]),
        ("rkllm.init", [{"model_path": "MODEL"}], [answer(DONE)]),
        ("rkllm.run", prompt("hello"), [answer(result("Hello world", -1, 2))]),
    ],
    "several calls in one turn": [
        (
            "server.sequence",
            {
                "calls": [
                    call("rkllm.clear_kv_cache", 0),
                    call("rkllm.run", *prompt("hello")),
                    call("rkllm.run", *prompt("half")),
                ]
            },
            [
                answer(part("Hello", 0, 1)),
                answer(part(" world", 1, 1)),
                answer(part("a", 0, 2)),
                answer(f'{result("", 1, 1)[:-1]},"_call_index":2}}'),
                answer(part("é", 2, 2)),
                answer(
                    f'{{"results":[{DONE},{result("Hello world", -1, 2)},{result("aé", -1, 2)}]}}'
                ),
            ],
        ),
        (
            "server.sequence",
            {"calls": [call("rkllm.run", *prompt("hello"))], "stream": False},
            [answer(f'{{"results":[{result("Hello world", -1, 2)}]}}')],
        ),
    ],
    "a sequence whose second run fails": [
        (
            "server.sequence",
            {
                "calls": [call("rkllm.run", *prompt(text)) for text in ("hello", "fails", "half")],
                "stream": False,
            },
            [
                refusal(
                    -32000,
                    "calls[1] (rkllm.run): The run ended in an error; the runtime's log lines say"
                    " why.",
                    '{"function":"rkllm_run","status_code":-1,"call_index":1,"method":"rkllm.run",'
                    f'"results":[{result("Hello world", -1, 2)}]}}',
                )
            ],
        ),
        ("rkllm.run", prompt("hello"), [answer(result("Hello world", -1, 2))]),
    ],
    "a crash in a sequence": [
        (
            "server.sequence",
            {"calls": [call("rkllm.run", *prompt(text)) for text in ("crashes", "hello")]},
            [
                answer(part("Once", 0, 0)),
                answer(part(" upon", 1, 0)),
                refusal(
                    -32004,
                    f"calls[0] (rkllm.run): {CRASHED}",
                    '{"signal":11,"lines":"LINES","call_index":0,"method":"rkllm.run",'
                    '"results":[]}',
                ),
            ],
        ),
        ("rkllm.run", prompt("hello"), [NO_MODEL_AFTER_CRASH]),
    ],
    "a sequence with a wrong parameter": [
        ("rkllm.destroy", None, [answer(DONE)]),
        (
            "server.sequence",
            {
                "calls": [
                    call("rkllm.init", {"model_path": "MODEL"}),
                    call("rkllm.run", {"prompt_input": 7}),
                ]
            },
            [
                refusal(
                    -32602,
                    "calls[1].params.rkllm_input.prompt_input: must be a string, not a number.",
                    '{"parameter":"calls[1].params.rkllm_input.prompt_input","call_index":1,'
                    '"method":"rkllm.run","results":[]}',
                )
            ],
        ),
        ("rkllm.run", prompt("hello"), [NO_MODEL]),
    ],
    "a model goes": [
        ("rkllm.destroy", None, [answer(DONE)]),
        ("rkllm.destroy", None, [NO_MODEL]),
        ("rkllm.is_running", None, [NO_MODEL]),
        ("rkllm.run_async", prompt("hello"), [NO_MODEL]),
    ],
    "nothing runs": [
        ("rkllm.is_running", None, [answer('{"success":true,"status_code":0,"is_running":false}')]),
        ("rkllm.pause", None, [answer('{"success":true,"status_code":0,"paused":false}')]),
        ("$/cancelRequest", {"id": 7}, [answer('{"cancelled":false}')]),
    ],
    "the model's state": [
        ("rkllm.clear_kv_cache", [None, 1, None, None], [answer(DONE)]),
        (
            "rkllm.get_kv_cache_size",
            None,
            [answer('{"success":true,"status_code":0,"cache_sizes":[0]}')],
        ),
        ("rkllm.set_chat_template", [None, "be brief", "<u>", "</u>"], [answer(DONE)]),
        (
            "rkllm.createDefaultParam",
            None,
            [
                answer(
                    '{"model_path":null,"max_context_len":512,"max_new_tokens":256,"top_k":40,'
                    '"n_keep":0,"top_p":0.9,"temperature":0.8,"repeat_penalty":1.1,'
                    '"frequency_penalty":0.0,"presence_penalty":0.0,"mirostat":0,'
                    '"mirostat_tau":5.0,"mirostat_eta":0.1,"skip_special_token":true,'
                    '"ignore_eos_token":false,"is_async":false,"extend_param":{"base_domain_id":0,'
                    '"embed_flash":0,"enabled_cpus_num":4,"enabled_cpus_mask":15,"n_batch":1,'
                    '"use_cross_attn":0,"reserved":null}}'
                )
            ],
        ),
    ],
    "wrong parameters": [
        (
            "rkllm.run",
            [{"prompt_inptu": "hello"}],
            [
                refusal(
                    -32602,
                    "rkllm_input.prompt_inptu: is no field of RKLLMInput in release 1.3.0, which is"
                    " loaded; perhaps prompt_input is meant.",
                    '{"parameter":"rkllm_input.prompt_inptu"}',
                )
            ],
        ),
        (
            "rkllm.init",
            [{"model_path": 7}],
            [
                refusal(
                    -32602,
                    "param.model_path: must be a string, not a number.",
                    '{"parameter":"param.model_path"}',
                )
            ],
        ),
        (
            "rkllm.run",
            None,
            [
                refusal(
                    -32602,
                    "rkllm_input is missing; rkllm_run takes rkllm_input, rkllm_infer_params (may"
                    " be null).",
                    '{"parameter":"rkllm_input"}',
                )
            ],
        ),
        (
            "rkllm.nothing",
            None,
            [
                refusal(
                    -32601,
                    str(MethodNotFound.named("rkllm.nothing", [])),
                    '{"method":"rkllm.nothing"}',
                )
            ],
        ),
        (
            "rkllm.run",
            "text",
            [refusal(-32600, "params are an array or an object.", '{"member":"params"}')],
        ),
    ],
}


@pytest.fixture(params=KINDS, scope="module")
def partner(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Partner]:
    """Start a daemon of each kind."""
    directory = tmp_path_factory.mktemp(request.param)
    with KINDS[request.param](directory, "1.3.0") as partner:
        yield partner


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_is_the_same(partner: Partner, name: str) -> None:
    """All bytes agree, except figures and the runtime's log lines."""
    talk = partner.loaded()
    for method, params, lines in CONVERSATIONS[name]:
        talk.ask(method, json.loads(json.dumps(params).replace("MODEL", partner.model)))
        got = [talk.line().decode() for _ in lines]
        assert got == lines, method
    talk.leave()


def test_netstrings_are_answered_with_netstrings(partner: Partner) -> None:
    """The first byte of the connection decides."""
    talk = partner.loaded()
    talk.leave()
    talk = partner.connect()
    message = b'{"jsonrpc":"2.0","id":1,"method":"rkllm.run","params":[{"prompt_input":"hello"}]}'
    talk.send(b"%d:%b," % (len(message), message))
    assert talk.netstring().decode() == answer(result("Hello world", -1, 2))
    talk.send(b"nonsense")
    assert talk.netstring().startswith(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700')
    assert talk.rest() == b""


def test_a_batch_is_answered_as_one(partner: Partner) -> None:
    """A streaming request in a batch is refused."""
    talk = partner.loaded()
    talk.send(
        b'[{"jsonrpc":"2.0","id":1,"method":"server.ping"},'
        b'{"jsonrpc":"2.0","method":"server.ping"},'
        b'{"jsonrpc":"2.0","id":"x","method":"rkllm.run_async","params":[{"prompt_input":"a"}]}]\n'
    )
    pong, refused = json.loads(talk.line())
    assert pong == {"jsonrpc": "2.0", "id": 1, "result": "pong"}
    assert refused["error"]["code"] == -32600
    assert refused["id"] == "x"


def test_what_is_no_json_is_refused_and_the_next_line_answered(partner: Partner) -> None:
    """Line framing makes the next message easy to find."""
    talk = partner.connect()
    talk.send(b"{oops}\n[]\n")
    assert b"-32700" in talk.line()
    assert b"-32600" in talk.line()
    assert talk.call("server.ping") == answer('"pong"').encode()


def token(line: bytes) -> str:
    """Return the text of a partial result."""
    value = json.loads(line)["result"]
    assert value["_callback_state"] == 0, line
    return str(value["text"])


@pytest.mark.parametrize("prompted", ["endless", "hangs"])
def test_abort_ends_the_run_with_state_2(partner: Partner, prompted: str) -> None:
    """A silent run ends as well; is_running is correct before and after."""
    talk, other = partner.loaded(), partner.connect()
    talk.ask("rkllm.run_async", prompt(prompted))
    assert token(talk.line()) in ("x", "Once")
    assert b'"is_running":true' in other.call("rkllm.is_running")
    assert other.call("rkllm.abort").decode() == answer(DONE)
    while json.loads(line := talk.line())["result"]["_callback_state"] == 0:
        assert token(line) == "x"
    assert json.loads(line)["result"]["_callback_state"] == 2
    assert b'"is_running":false' in talk.call("rkllm.is_running")


@pytest.mark.parametrize("how", ["server.cancel", "$/cancelRequest"])
@pytest.mark.parametrize("prompted", ["endless", "hangs"])
def test_a_cancelled_run_is_answered_and_the_next_one_whole(
    partner: Partner, prompted: str, how: str
) -> None:
    """The code is -32800, and no later message has its id."""
    talk = partner.loaded()
    talk.ask("rkllm.run_async", prompt(prompted), "long")
    assert token(talk.line()) in ("x", "Once")
    talk.ask("rkllm.run", prompt("hello"), "next")
    talk.ask(how, {"id": "long"}, "cancel")
    lines = [talk.line() for _ in range(2)]
    while json.loads(lines[-1])["id"] != "next":
        lines.append(talk.line())
    ends = [line.decode() for line in lines if b'"text":"x"' not in line]
    assert refusal(-32800, "The request was cancelled.", request_id='"long"') in ends
    assert answer('{"cancelled":true}', '"cancel"') in ends
    assert ends[-1] == answer(result("Hello world", -1, 2), '"next"')


@pytest.mark.parametrize("prompted", ["endless", "hangs"])
def test_who_leaves_stops_their_own_run(partner: Partner, prompted: str) -> None:
    """The run of another client continues."""
    leaving, talk = partner.loaded(), partner.connect()
    leaving.ask("rkllm.run_async", prompt(prompted))
    assert token(leaving.line()) in ("x", "Once")
    talk.ask("rkllm.run", prompt("hello"))
    leaving.leave()
    assert talk.line().decode() == answer(result("Hello world", -1, 2))


def test_who_only_stops_sending_gets_their_answers(partner: Partner) -> None:
    """A half-closed connection (``nc -N``) still receives its answers."""
    talk = partner.loaded()
    talk.ask("rkllm.run", prompt("hello"))
    talk.end()
    assert talk.line().decode() == answer(result("Hello world", -1, 2))
    assert talk.rest() == b""


def test_a_paused_run_ends_without_finish(partner: Partner) -> None:
    """The final result has text null and state 2."""
    talk, other = partner.loaded(), partner.connect()
    talk.ask("rkllm.run_async", prompt("endless"))
    assert token(talk.line()) == "x"
    assert b'"paused":true' in other.call("rkllm.pause")
    while json.loads(line := talk.line())["result"]["_callback_state"] == 0:
        assert token(line) == "x"
    assert json.loads(line)["result"]["text"] is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_queue_and_a_connections_share_are_limited(kind: str, tmp_path: Path) -> None:
    """The options are the daemon's own."""
    with KINDS[kind](tmp_path, "1.3.0", "--queue", "1", "--max-requests", "2") as partner:
        talk, other, third = partner.loaded(), partner.connect(), partner.connect()
        talk.ask("rkllm.run_async", prompt("hangs"), "runs")
        assert token(talk.line()) == "Once"
        talk.ask("rkllm.run", prompt("hello"), "waits")
        talk.ask("rkllm.run", prompt("hello"), "too much for one")
        assert b'"code":-32002' in (line := talk.line())
        assert b'"id":"too much for one"' in line
        assert other.call("rkllm.run", prompt("hello")).decode() == refusal(
            -32002,
            "The NPU is busy and 1 calls already wait; try again later.",
            '{"queue_length":1}',
        )
        assert third.call("rkllm.abort").decode() == answer(DONE)
        assert json.loads(talk.line())["id"] == "runs"
        assert json.loads(talk.line())["id"] == "waits"


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_silent_for_too_long_times_out(kind: str, tmp_path: Path) -> None:
    """The daemon's own watchdog ends the run."""
    with KINDS[kind](tmp_path, "1.3.0", "--token-timeout", "0.2") as partner:
        talk = partner.loaded()
        talk.ask("rkllm.run_async", prompt("hangs"))
        assert token(talk.line()) == "Once"
        assert talk.line().decode() == refusal(
            -32003,
            "rkllm_run_async took longer than 0.2 s; --token-timeout sets how long it may take.",
            '{"function":"rkllm_run_async","seconds":0.2}',
        )
        assert talk.call("rkllm.run", prompt("hello")).decode() == answer(
            result("Hello world", -1, 2)
        )


@pytest.mark.parametrize("kind", KINDS)
def test_results_have_the_members_of_the_release(kind: str, tmp_path: Path) -> None:
    """Release 1.1.4 has no logits or figures, and can neither pause nor clear its cache."""
    with KINDS[kind](tmp_path, "1.1.4") as partner:
        talk = partner.loaded()
        assert json.loads(talk.call("rkllm.run", prompt("hello")))["result"] == {
            "text": "Hello world",
            "token_id": -1,
            "last_hidden_layer": {"hidden_states": None, "embd_size": 0, "num_tokens": 0},
            "_callback_state": 2,
        }
        for method in ("rkllm.clear_kv_cache", "rkllm.pause", "rkllm.set_function_tools"):
            assert json.loads(talk.call(method))["error"]["code"] == -32006
