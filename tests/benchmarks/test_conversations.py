"""The benchmark of conversations asks two servers the same, and compares turn by turn."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer

import attrs
import pytest

from benchmarks.conversations.measure import (
    Answer,
    Ask,
    Case,
    Contender,
    Result,
    measure,
    turns,
)
from benchmarks.conversations.report import OURS, Comparison, ratios, read_again, times
from benchmarks.conversations.servers import peer_asker
from benchmarks.conversations.texts import PLACES, PYTHON, Exchange, Message, Talk

EXCHANGES = [(f"question {number}", f"told {number}") for number in range(1, 10)]


@attrs.define
class Recorder:
    """A server that answers with a count, and remembers what it was asked."""

    asked: list[list[Message]] = attrs.field(factory=list)

    def __call__(self, messages: Sequence[Message]) -> Answer:
        self.asked.append([*messages])
        return answer(text=f"answer {len(self.asked)}")

    @property
    def conversations(self) -> list[str]:
        """The first question of each request."""
        return [messages[0]["content"] for messages in self.asked]


def answer(
    first: float = 1.0, prompt: int = 100, read: int = 100, written: int = 5, text: str = ""
) -> Answer:
    return Answer(text, first, prompt, read, written)


def test_conversations_alternate_and_get_their_own_answers_back() -> None:
    """The turns before the last two are told instead of asked."""
    server = Recorder()
    one, two = Talk(EXCHANGES), Talk(EXCHANGES[::-1])
    turns([Contender("", server)], [one, two], 4)
    assert server.conversations == ["question 1", "question 9"] * 2
    assert [message["content"] for message in server.asked[-2]] == [
        "question 1", "told 1", "question 2", "told 2", "question 3", "answer 1", "question 4",
    ]  # fmt: skip
    roles = [message["role"] for message in server.asked[-1]]
    assert roles == ["user", "assistant"] * 3 + ["user"]


def test_a_first_turn_is_one_question() -> None:
    server = Recorder()
    assert len(turns([Contender("", server)], [Talk(EXCHANGES)], 1)[""]) == 1
    assert server.asked == [[{"role": "user", "content": "question 1"}]]


def test_a_contender_may_answer_more_turns_before_the_measured_one() -> None:
    server = Recorder()
    turns([Contender("", server, lead=2)], [Talk(EXCHANGES)], 4)
    assert [len(messages) for messages in server.asked] == [3, 5, 7]


def test_what_is_done_before_each_question_is_done_before_each() -> None:
    server, done = Recorder(), []
    turns([Contender("", server, lambda: done.append(len(server.asked)))], [Talk(EXCHANGES)], 9)
    assert done == [0, 1]


def test_all_are_asked_a_question_before_the_next_and_another_one_first() -> None:
    """Each round has new conversations, the same for all."""
    one, two = Recorder(), Recorder()
    order: list[str] = []
    contenders = [
        Contender("one", one, lambda: order.append("one")),
        Contender("two", two, lambda: order.append("two")),
    ]
    found = measure(contenders, Case(2, 1), EXCHANGES, rounds=2)
    assert order == ["one", "two", "two", "one", "two", "one", "one", "two"]
    assert one.asked == two.asked
    assert one.asked[:2] != one.asked[2:]
    assert [each.text for each in found.answers["two"]] == [f"answer {n}" for n in range(1, 5)]


def test_a_contender_that_needs_no_lead_is_asked_later() -> None:
    one, two = Recorder(), Recorder()
    contenders = [Contender("one", one, lead=2), Contender("two", two)]
    found = turns(contenders, [Talk(EXCHANGES)], 4)
    assert (len(one.asked), len(two.asked)) == (3, 2)
    assert (found["one"][0].text, found["two"][0].text) == ("answer 3", "answer 2")


def test_a_contender_may_be_left_out_where_many_alternate() -> None:
    """The tables have a dash for it."""
    contenders = [Contender(OURS, Recorder()), Contender("slow", Recorder(), most=2)]
    found = measure(contenders, Case(3, 1), EXCHANGES, rounds=1)
    assert "slow" not in found.answers
    both = measure(contenders, Case(2, 1), EXCHANGES, rounds=1)
    assert times([both, found]).endswith("| 1,000.0 ms, 100 read | – |")
    assert ratios([found], [Comparison(OURS, "slow")]).endswith("| – |")


def test_the_questions_of_one_conversation_are_asked_alone_too() -> None:
    """The longest of them is what a conversation that goes on may read."""
    sizes = iter([100, 100, 9, 100, 100, 8])
    contender = Contender("", lambda _: answer(prompt=next(sizes)))
    assert measure([contender], Case(1, 5), EXCHANGES, rounds=2).alone == 9


def result(case: Case, **figures: Sequence[float]) -> Result:
    return Result(
        case,
        {name: [answer(first=each) for each in values] for name, values in figures.items()},
    )


@pytest.mark.parametrize(
    ("case", "shown"),
    [
        (Case(2, 5), "| **1.50 (1.10 – 3.00)** ~ |"),
        (Case(1, 5), "| 1.50 (1.10 – 3.00) |"),
    ],
)
def test_a_ratio_is_that_of_a_turn_and_only_alternating_ones_have_a_target(
    case: Case, shown: str
) -> None:
    """A minute in which all is slow changes no ratio."""
    found = result(case, **{OURS: [3.0, 15.0, 11.0], "peer": [1.0, 10.0, 10.0]})
    assert shown in ratios([found], [Comparison(OURS, "peer", 1.2)])
    assert shown.replace("**", "").replace(" ~", "") in ratios([found], [Comparison(OURS, "peer")])


def test_the_median_decides() -> None:
    met = result(Case(2, 5), **{OURS: [1.2, 1.0, 9.0], "peer": [1.0, 1.0, 1.0]})
    missed = result(Case(2, 5), **{OURS: [1.3, 1.3, 1.3], "peer": [1.0, 1.0, 1.0]})
    assert "| 1.20 (1.00 – 9.00) |" in ratios([met], [Comparison(OURS, "peer", 1.2)])
    assert "| **1.30 (1.30 – 1.30)** |" in ratios([missed], [Comparison(OURS, "peer", 1.2)])


def test_the_times_are_medians_in_milliseconds() -> None:
    found = result(Case(2, 5), **{OURS: [0.0021, 0.0011, 9.0]})
    assert "| 2 in turns, turn 5 | 100 | 2.1 ms, 100 read |" in times([found])


@pytest.mark.parametrize(("read", "met"), [(10, "yes"), (11, "**no**")])
def test_a_conversation_that_goes_on_may_read_its_question_only(read: int, met: str) -> None:
    found = Result(Case(1, 20), {OURS: [answer(read=8), answer(read=read)]}, alone=10)
    several = Result(Case(2, 20), found.answers)
    first = Result(Case(1, 1), found.answers)
    assert read_again([first, found, several]).splitlines()[2:] == [
        f"| 1 conversation, turn 20: tokens read | {read} | ≤ 10, the question alone | {met} |"
    ]


@pytest.mark.parametrize("exchanges", [PLACES, PYTHON])
def test_there_is_enough_to_talk_about(exchanges: Sequence[Exchange]) -> None:
    """No question of twenty turns comes twice."""
    messages = Talk.numbered(7, exchanges).until(20)
    assert len(messages) == 39
    assert len({message["content"] for message in messages[::2]}) == 20


class LlamaServer(BaseHTTPRequestHandler):
    """Streams one answer, as llama.cpp's server does."""

    asked: dict[str, object]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).asked = json.loads(body)
        deltas = [{"role": "assistant", "content": None}, {"content": "Ro"}, {"content": "me."}]
        chunks: list[object] = [{"choices": [{"delta": delta}]} for delta in deltas]
        usage = {"prompt_tokens": 40, "completion_tokens": 3}
        chunks.append({"choices": [], "usage": usage, "timings": {"prompt_n": 12, "cache_n": 28}})
        data = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def peer() -> Iterator[Ask]:
    with HTTPServer(("127.0.0.1", 0), LlamaServer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield peer_asker(f"127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


def test_the_stream_of_llama_server_is_read(peer: Ask) -> None:
    """Its figures are in the last chunk."""
    messages = Talk(EXCHANGES).until(1)
    told = peer(messages)
    assert (told.text, told.prompt, told.read, told.written) == ("Rome.", 40, 12, 3)
    assert told.first > 0
    assert LlamaServer.asked["messages"] == messages
