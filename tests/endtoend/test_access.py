"""Access control: the right to connect, the right to administer, and the log's record of both."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from daemons import Daemon, RawClient
from other_users import GROUP, OTHER_GROUP, SOMEBODY, acting_as, needs_root, open_directory

from rkllm_twisted.interfaces import IAdministrative
from rkllm_twisted.rpc.registry import find_methods

Start = Callable[..., Daemon]
pytestmark = needs_root

ADMINISTRATIVE = [name for name, m in find_methods().items() if IAdministrative.providedBy(m)]
PROMPT = {"rkllm_input": {"role": "user", "prompt_input": "Hello"}}


@pytest.fixture
def directory() -> Iterator[Path]:
    """Make a directory that other users may enter."""
    with open_directory() as path:
        yield path


@pytest.fixture
def begin(directory: Path, start: Start) -> Start:
    """Return a function that starts a daemon with a socket for every user."""
    return partial(start, "--mode=0666", directory=directory)


def client_of(daemon: Daemon, uid: int, *groups: int) -> RawClient:
    """Connect as another user."""
    with acting_as(uid, GROUP, groups):
        return daemon.connect()


def refusal(client: RawClient) -> Any:
    """Return the only message to a refused client."""
    client.send({"jsonrpc": "2.0", "id": 1, "method": "server.ping"})
    answer = client.line()
    assert client.eof() == b""
    return answer["error"]


def served(client: RawClient) -> bool:
    """Tell whether a client gets an answer."""
    return bool(client.ask("server.ping")["result"] == "pong")


def test_only_the_users_that_are_named_are_served(begin: Start) -> None:
    """Other users, including root, get one error and are closed; the log has their user ids."""
    daemon = begin(f"--allow-uid={SOMEBODY}")
    with client_of(daemon, SOMEBODY) as client:
        assert served(client)
    for uid in (SOMEBODY + 1, 0):
        with client_of(daemon, uid) as client:
            error = refusal(client)
            assert (error["code"], error["data"]) == (-32005, {"uid": uid})
    log = daemon.log.read_text()
    assert f"turned away (-32005): pid {os.getpid()}, uid {SOMEBODY + 1}" in log
    assert f"connected: pid {os.getpid()}, uid {SOMEBODY}" in log


def test_the_members_of_a_group_that_is_named_are_served(begin: Start) -> None:
    """The group may be the user's primary group or any other of its groups."""
    daemon = begin(f"--allow-gid={OTHER_GROUP}")
    with client_of(daemon, SOMEBODY, OTHER_GROUP, 5) as client:
        assert served(client)
    with client_of(daemon, SOMEBODY, 5) as client:
        assert refusal(client)["code"] == -32005


def test_who_does_not_administer_may_only_run(begin: Start, directory: Path, script: Any) -> None:
    """The user may not load, change or stop anything shared, nor write a file with a run."""
    model = script('run\n  token "Hello"\n  finish\n')
    daemon = begin("--admin-uid=0")
    daemon.load(model)
    with client_of(daemon, SOMEBODY) as client:
        for name in ADMINISTRATIVE:
            error = client.ask(name)["error"]
            assert (error["code"], error["data"]) == (-32005, {"method": name})
            assert f"(uid {SOMEBODY}): {name}, id 1: NotAllowed (-32005)" in daemon.log.read_text()
        assert "result" in client.ask("rkllm.run", PROMPT)
        assert "result" in client.stream("rkllm.run_async", PROMPT)[-1]
        target = directory / "written"
        saving = {"prompt_cache_params": {"save_prompt_cache": 1, "prompt_cache_path": str(target)}}
        for params in (
            {**PROMPT, "rkllm_infer_params": saving},
            [PROMPT["rkllm_input"], saving],
            [None, PROMPT["rkllm_input"], saving, None],
        ):
            for method in ("rkllm.run", "rkllm.run_async"):
                assert client.ask(method, params)["error"]["code"] == -32005
        assert not target.exists()
    with client_of(daemon, 0) as client:
        assert "result" in client.ask("rkllm.clear_kv_cache", [1])


def test_what_is_administrative() -> None:
    """These methods load, change or stop something shared."""
    assert set(ADMINISTRATIVE) >= {
        "rkllm.init",
        "rkllm.destroy",
        "rkllm.load_lora",
        "rkllm.load_prompt_cache",
        "rkllm.release_prompt_cache",
        "rkllm.clear_kv_cache",
        "rkllm.set_chat_template",
        "rkllm.set_function_tools",
        "rkllm.abort",
        "rkllm.pause",
    }
