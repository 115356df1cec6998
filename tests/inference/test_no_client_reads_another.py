"""Whatever clients do in whatever order, each answer depends on its own messages only."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from echo_runtime import secrets_in
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from inference_rig import TIERS, Asked, Rig, furnish, user
from twisted.internet.defer import CancelledError

from rkllm_twisted.errors import RPCError
from rkllm_twisted.testing import Crash, End

#: The errors that a request may end with: what the clients did causes them.
EXPECTED = {-32000, -32001, -32002, -32004, CancelledError}
TALKS = st.integers(0, 1)
#: A longer conversation might not fit into the context.
MOST_MESSAGES = 10
#: Most of the time the answer comes before anything else happens.
WAITS = st.sampled_from([True, True, False])


@attrs.define
class Talk:
    """One client's conversation."""

    messages: list[Any] = attrs.field(factory=list)
    asked: Asked | None = None
    is_cut: bool = False
    own: set[str] = attrs.field(factory=set)


class Clients(RuleBasedStateMachine):
    """Two conversations, clients' own runs, and everything that may disturb them."""

    tier = "runtime"
    history = "shared"
    directory = Path()

    def __init__(self) -> None:
        super().__init__()
        self.cache_dir = tempfile.TemporaryDirectory()
        self.own_prompt = Path(self.cache_dir.name, "own")
        self.own_prompt.write_text("[]")
        self.paths = [furnish(self.directory, self.tier, name) for name in ("first", "second")]
        self.rig = Rig(
            self.paths[0],
            self.tier,
            history=self.history,
            paced=True,
            directories=(str(self.directory),),
            cache_dir=Path(self.cache_dir.name),
        )
        self.rig.runtime.restoring = "blindly"
        self.talks = [Talk(), Talk()]
        self.runs: list[tuple[str, Asked]] = []
        self.of_runs: set[str] = set()
        self.number = 0

    def secret(self) -> str:
        self.number += 1
        return f"zq{self.number}q"

    def teardown(self) -> None:
        try:
            self.rig.settle()
            self.look()
        finally:
            self.cache_dir.cleanup()

    def say(self, talk: Talk, model: str | None, stop: str | None, waits: bool) -> None:
        talk.is_cut = stop is not None
        talk.asked = self.rig.start(
            talk.messages,
            client=id(talk),
            model=model,
            stop=stop,
            conversation=f"{self.talks.index(talk)}" if self.number % 2 else None,
        )
        if waits:
            self.rig.settle()

    @rule(
        number=TALKS,
        model=st.sampled_from([None, None, None, "first", "second"]),
        cut=st.sampled_from([False, False, True]),
        words=st.integers(1, 3),
        waits=WAITS,
    )
    def goes_on(self, number: int, model: str | None, cut: bool, words: int, waits: bool) -> None:
        talk = self.talks[number]
        if talk.asked is not None:
            return
        if len(talk.messages) > MOST_MESSAGES:
            talk.messages, talk.own = [], set()
        new = [self.secret() for _ in range(words)]
        talk.own.update(new)
        talk.messages.append(user(" ".join(new)))
        self.say(talk, model, new[-1] if cut else None, waits)

    @rule(rounds=st.integers(2, 4))
    def both_take_turns(self, rounds: int) -> None:
        """Each prompt comes back after another: so it is saved, tried and restored."""
        for number in (0, 1) * rounds:
            self.goes_on(number, None, cut=False, words=1, waits=True)
            self.look()

    @rule(number=TALKS, waits=WAITS)
    def asks_again(self, number: int, waits: bool) -> None:
        """A client asks for another answer to the same messages."""
        talk = self.talks[number]
        if talk.asked is None and len(talk.messages) > 1:
            talk.messages.pop()  # the answer
            self.say(talk, None, None, waits)

    @rule(number=TALKS, waits=WAITS)
    def edits(self, number: int, waits: bool) -> None:
        """A client changes its first message, and forgets what came after it."""
        talk = self.talks[number]
        if talk.asked is None and talk.messages:
            new = self.secret()
            talk.messages, talk.own = [user(new)], {new}
            self.say(talk, None, None, waits)

    @rule(keep=st.booleans(), client=st.integers(0, 1))
    def runs_by_itself(self, keep: bool, client: int) -> None:
        new = self.secret()
        self.of_runs.add(new)
        self.runs.append((new, self.rig.run(new, f"client {client}", keep_history=int(keep))))

    @rule(number=TALKS)
    def cancels(self, number: int) -> None:
        talk = self.talks[number]
        if talk.asked is not None:
            talk.asked.done.cancel()

    @rule(number=st.integers(0, 9))
    def cancels_a_run(self, number: int) -> None:
        if self.runs:
            self.runs[number % len(self.runs)][1].done.cancel()

    @rule()
    def aborts(self) -> None:
        self.rig.npu.abort().addErrback(lambda failure: failure.trap(RPCError) and None)

    @rule(number=TALKS, steps=st.integers(1, 6))
    def goes_on_after_an_abort(self, number: int, steps: int) -> None:
        """Another client aborts an answer that has begun; the conversation goes on at once."""
        self.much_time_passes()
        self.look()
        self.goes_on(number, None, False, 1, False)
        self.time_passes(steps)
        self.aborts()
        self.much_time_passes()
        self.look()
        self.goes_on(number, None, False, 1, True)

    @rule(then=st.sampled_from([Crash(), End.ERROR]))
    def the_next_run_ends_badly(self, then: Any) -> None:
        self.rig.runtime.then = then

    @rule(number=st.integers(0, 1))
    def loads(self, number: int) -> None:
        self.call("rkllm_init", [{"model_path": str(self.paths[number]), "max_context_len": 4096}])

    @rule(keep=st.integers(0, 1))
    def clears(self, keep: int) -> None:
        self.call("rkllm_clear_kv_cache", [keep])

    @rule(saving=st.sampled_from(["well", "well", "not", "error before", "error after"]))
    def the_disk_changes(self, saving: str) -> None:
        self.rig.runtime.saving = saving

    @rule(function=st.sampled_from(["rkllm_load_prompt_cache", "rkllm_release_prompt_cache"]))
    def has_a_saved_prompt(self, function: str) -> None:
        self.call(function, [str(self.own_prompt)] if "load" in function else None)

    @rule()
    def sets_a_template(self) -> None:
        self.call("rkllm_set_chat_template", ["", "<a>", "<b>"])

    def call(self, function: str, params: list[Any] | None) -> None:
        done = self.rig.npu.call(function, params, "other")
        done.addErrback(lambda failure: failure.trap(RPCError) and None)

    @precondition(lambda self: not self.rig.thread.idle)
    @rule(steps=st.integers(1, 6))
    def time_passes(self, steps: int) -> None:
        """The NPU's thread goes on to its next stop, and the reactor does what came of it."""
        thread = self.rig.thread
        for _ in range(steps):
            if thread.busy or len(thread):
                thread.go()
            while thread.calls:
                thread.deliver()

    @rule()
    def much_time_passes(self) -> None:
        self.rig.settle()

    @invariant()
    def look(self) -> None:
        """Look at the answers that have come."""
        for talk in self.talks:
            if talk.asked is not None and talk.asked.is_over:
                self.take(talk, talk.asked)
                talk.asked = None
        for secret, asked in self.runs:
            if asked.result is not None:
                read = secrets_in(asked.text)
                assert read <= self.of_runs, "a run has read a conversation"
                assert secret in read or not read
        self.runs = [one for one in self.runs if not one[1].is_over]

    def take(self, talk: Talk, asked: Asked) -> None:
        pieces = "".join(piece.get("content", "") for piece in asked.pieces)
        assert secrets_in(pieces) <= talk.own
        if asked.error is not None:
            code = asked.error.code if isinstance(asked.error, RPCError) else type(asked.error)
            assert code in EXPECTED, repr(asked.error)
            del talk.messages[-1]
            talk.own = secrets_in(str(talk.messages))
            if talk.messages and talk.messages[-1]["role"] == "user":
                del talk.messages[-1]
            return
        read = secrets_in(asked.text)
        assert read <= talk.own, "an answer depends on another's messages"
        if asked.result["finish_reason"] == "stop" and not talk.is_cut:
            assert read == secrets_in(str(talk.messages)), "a message was not read"
        talk.messages.append(asked.result["message"])


@pytest.mark.parametrize("history", ["shared", "connection"])
@pytest.mark.parametrize("tier", TIERS)
def test_each_answer_depends_on_its_own_messages_only(
    tier: str, history: str, tmp_path: Path
) -> None:
    facts = {"tier": tier, "history": history, "directory": tmp_path}
    case = type("Clients", (Clients,), facts).TestCase  # type: ignore[attr-defined]
    case.settings = settings(
        max_examples=25 if history == "shared" else 8,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run: Callable[[], None] = case("runTest").runTest
    run()
