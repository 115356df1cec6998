"""The servers that the benchmark compares: the daemon in three ways, llama.cpp's in two."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.conversations.measure import Contender, turns
from benchmarks.conversations.report import CLEARED, OURS, SAVING, Comparison
from benchmarks.conversations.servers import CONTEXT, GREEDY, daemon_asker, peer_asker
from benchmarks.conversations.texts import PLACES, Talk
from benchmarks.conversations.tokenizer import write_tokenizer
from benchmarks.model_servers import daemon, llama_server

#: llama.cpp's server with as much memory as the runtime has, one cache, and as it is by default.
ONE_SLOT, FOUR_SLOTS = "llama-server, 1 slot", "llama-server, 4 slots"
#: The most that alternating conversations may take, as a multiple of the server's time.
MOST = 1.2
BESIDE_PEER: Sequence[Comparison] = (
    Comparison(OURS, CLEARED),
    Comparison(OURS, ONE_SLOT, MOST),
    Comparison(OURS, FOUR_SLOTS, MOST),
    Comparison(SAVING, FOUR_SLOTS, MOST),
)
#: A run that reads one token, with which no conversation begins, and writes none.
FOREIGN = [
    {"input_type": "RKLLM_INPUT_TOKEN", "token_input": {"input_ids": [9], "n_tokens": 1}},
    {"mode": "RKLLM_INFER_GET_LOGITS"},
]
#: A turn at which reading the prompt takes long enough to save it.
LATE = 20


@contextmanager
def with_and_without(
    model: Path, library: str, threads: int, context: int
) -> Iterator[list[Contender]]:
    """Start a daemon, and another whose cache another client's run has had before each question.

    :param context: the tokens that a cache has room for.
    """
    start = partial(daemon, model, library, threads, max_context_len=context, **GREEDY)
    with start() as (ours, _), start() as (other, _):
        yield [
            Contender(OURS, daemon_asker(ours)),
            Contender(CLEARED, daemon_asker(other), partial(other.call, "rkllm.run", FOREIGN)),
        ]


@contextmanager
def beside_peer(model: Path, threads: int, python: str) -> Iterator[list[Contender]]:
    """Start three daemons, and llama.cpp's server twice."""
    with ExitStack() as stack:
        start = stack.enter_context
        contenders = start(with_and_without(model, "llama", threads, CONTEXT))
        contenders.append(start(saving(model, threads)))
        for name, context, kept in (
            (ONE_SLOT, CONTEXT, (1, 0)),
            (FOUR_SLOTS, 4 * CONTEXT, (4,)),
        ):
            peer = start(llama_server(model, threads, context, *kept, python=python))
            contenders.append(Contender(name, peer_asker(peer.address)))
        print(f"The peer's build: {peer.build}\n", file=sys.stderr)
        yield contenders


@contextmanager
def saving(model: Path, threads: int) -> Iterator[Contender]:
    """Start a daemon that saves prompts, which it does for a model with a ``tokenizer.json``."""
    with tempfile.TemporaryDirectory(prefix="rkllm-saved-") as directory:
        folder = Path(directory)
        (folder / "model").mkdir()
        write_tokenizer(model, folder / "model")
        link = folder / "model" / "model.gguf"
        os.link(model, link) if _is_near(model, folder) else link.symlink_to(model)
        option = f"--cache-dir={directory}"
        with daemon(link, "llama", threads, option, max_context_len=CONTEXT, **GREEDY) as (it, _):
            contender = Contender(SAVING, daemon_asker(it), lead=2)
            # The first saved prompt of a model is tried beside reading it.
            turns([contender], [Talk.numbered(number, PLACES) for number in (1, 2)], LATE)
            yield contender


def _is_near(one: Path, other: Path) -> bool:
    """Tell whether two files are on one file system."""
    return one.stat().st_dev == other.stat().st_dev
