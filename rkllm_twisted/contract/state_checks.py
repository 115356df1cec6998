"""Checks: what the library keeps: history, strings, memory."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

from rkllm_twisted.contract.raw_library import QUESTION, RawLibrary
from rkllm_twisted.contract.verdict import NotTestable, Verdict, judged

MIB = 2**20
#: Loads and destroys that are compared, after a first one.
ROUNDS = 3


def _has_history(bare: RawLibrary) -> None:
    if "rkllm_get_kv_cache_size" not in bare.functions:
        raise NotTestable(f"Release {bare.release} does not tell the size of its cache.")


def keeps_history(bare: RawLibrary) -> Verdict:
    """With keep_history 1."""
    _has_history(bare)
    bare.loaded()
    bare.clear()
    sizes = [bare.cache_size()]
    for _ in range(2):
        bare.run(keep_history=1)
        sizes.append(bare.cache_size())
    return judged(sizes[0] < sizes[1] < sizes[2], f"Tokens in the cache: {sizes}.")


def drops_history(bare: RawLibrary) -> Verdict:
    """With keep_history 0."""
    _has_history(bare)
    bare.loaded()
    bare.run(keep_history=1)
    before = bare.cache_size()
    bare.run("Something else.", keep_history=0)
    return judged(
        bare.cache_size() == before,
        f"{before} tokens before a run without history, {bare.cache_size()} after it.",
    )


def clears(bare: RawLibrary) -> Verdict:
    """rkllm_clear_kv_cache, without the system prompt."""
    _has_history(bare)
    bare.loaded()
    bare.run(keep_history=1)
    before, status = bare.cache_size(), bare.clear()
    return judged(
        status == 0 and bare.cache_size() == 0,
        f"It returned {status}; {before} tokens before, {bare.cache_size()} after it.",
    )


def cleared_is_as_new(bare: RawLibrary) -> Verdict:
    """No trace of an earlier conversation: the promise of --history connection."""
    bare.prepared("rkllm_clear_kv_cache", {"keep_system_prompt": 0})
    bare.loaded()
    first = bare.run(keep_history=1)
    bare.run("My name is Ada. Remember it.", keep_history=1)
    bare.clear()
    again = bare.run(keep_history=1)
    return judged(
        again.text == first.text,
        f"The first answer had {len(first.text)} bytes, the same after other runs and a clear"
        f" {len(again.text)}, {'equal' if again.text == first.text else 'different'}.",
    )


def template_clears(bare: RawLibrary) -> Verdict:
    """rkllm_set_chat_template."""
    _has_history(bare)
    bare.loaded()
    bare.run(keep_history=1)
    before = bare.cache_size()
    template = {"system_prompt": "", "prompt_prefix": "", "prompt_postfix": ""}
    status = bare.call("rkllm_set_chat_template", template)
    return judged(
        status == 0 and bare.cache_size() == 0,
        f"It returned {status}; {before} tokens before, {bare.cache_size()} after it.",
    )


def copies_strings(bare: RawLibrary) -> Verdict:
    """What rkllm_set_chat_template was given is overwritten after it has returned."""
    names = ("system_prompt", "prompt_prefix", "prompt_postfix")
    texts = dict(zip(names, (b"Answer briefly.", b"<user>", b"</user>"), strict=True))
    prepared = bare.prepared(
        "rkllm_set_chat_template", {name: text.decode() for name, text in texts.items()}
    )
    bare.loaded()
    answers = []
    for overwritten in (False, True):
        buffers = {name: ctypes.create_string_buffer(text) for name, text in texts.items()}
        bare.alive.append(buffers)
        pointers = {name: ctypes.c_char_p(ctypes.addressof(b)) for name, b in buffers.items()}
        status = bare.made(prepared, **pointers)
        if status != 0:
            raise NotTestable(f"rkllm_set_chat_template returned {status}.")
        for buffer in buffers.values() if overwritten else ():
            buffer.raw = b"Z" * (len(buffer) - 1) + b"\0"
        answers.append(bare.run().text)
    same = answers[0] == answers[1]
    return judged(
        same,
        f"The answers with the strings kept and overwritten are {'equal' if same else 'different'}"
        f" ({len(answers[0])} and {len(answers[1])} bytes).",
    )


def copies_param(bare: RawLibrary) -> Verdict:
    """The same of rkllm_init's RKLLMParam."""
    bare.loaded()
    first = bare.run().text
    param = bare.given
    ctypes.memset(ctypes.addressof(param), 0, ctypes.sizeof(param))
    again = bare.run().text
    return judged(
        first == again,
        f"The answers before and after RKLLMParam was overwritten with zeros are"
        f" {'equal' if first == again else 'different'}.",
    )


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def destroy_frees(bare: RawLibrary) -> Verdict:
    """Memory, descriptors and threads, over several loads."""
    figures = []
    for _ in range(ROUNDS + 1):
        bare.loaded()
        bare.run()
        status = bare.destroy()
        if status != 0:
            return judged(False, f"rkllm_destroy returned {status}.")
        open_files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the count is all
        figures.append((_status("VmRSS") * 1024, open_files, _status("Threads")))
    first, last = figures[0], figures[-1]
    size = Path(bare.model).stat().st_size
    grown = last[0] - first[0]
    holds = grown < max(16 * MIB, size // 10) and last[1] <= first[1] and last[2] <= first[2]
    return judged(
        holds,
        f"After {ROUNDS} more loads and destroys: {grown / MIB:+.1f} MiB,"
        f" {last[1] - first[1]:+d} descriptors, {last[2] - first[2]:+d} threads.",
    )


def destroy_while_running(bare: RawLibrary) -> Verdict:
    """It ends the run, or waits for its end."""
    bare.loaded()
    ran, status = bare.beside(bare.destroy)
    return judged(
        status == 0,
        f"rkllm_destroy returned {status}; rkllm_run returned {ran.status} after"
        f" {len(ran.seen)} callbacks, {threading.active_count()} threads of Python are left.",
    )


def loads_again(bare: RawLibrary) -> Verdict:
    """After destroy, in the same process."""
    bare.loaded()
    first = bare.run(QUESTION).text
    bare.destroy()
    status = bare.init()
    again = bare.run(QUESTION).text if status == 0 and bare.handle else b""
    return judged(
        status == 0 and again == first,
        f"The second rkllm_init returned {status}; the answers are"
        f" {'equal' if again == first else 'different'}.",
    )
