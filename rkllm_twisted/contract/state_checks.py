"""Checks of the state that the library keeps: history, strings, memory."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

from rkllm_twisted.contract.raw_library import QUESTION, RawLibrary
from rkllm_twisted.contract.verdict import NotTestable, Verdict, judged

MIB = 2**20
#: The number of loads and destroys to compare with the first one.
LOADS_COMPARED = 3


def needs_cache_size(library: RawLibrary) -> None:
    """Raise NotTestable if the release does not say the size of its cache."""
    if "rkllm_get_kv_cache_size" not in library.functions:
        raise NotTestable(f"Release {library.release} does not say the size of its cache.")


def keeps_history(library: RawLibrary) -> Verdict:
    """With keep_history 1 the cache grows from run to run."""
    needs_cache_size(library)
    library.load()
    library.clear()
    sizes = [library.cache_size()]
    for _ in range(2):
        library.run(keep_history=1)
        sizes.append(library.cache_size())
    return judged(sizes[0] < sizes[1] < sizes[2], f"Tokens in the cache: {sizes}.")


def drops_history(library: RawLibrary) -> Verdict:
    """With keep_history 0 a run leaves the cache as it was."""
    needs_cache_size(library)
    library.load()
    library.run(keep_history=1)
    before = library.cache_size()
    library.run("Something else.", keep_history=0)
    return judged(
        library.cache_size() == before,
        f"{before} tokens before a run without history, {library.cache_size()} after it.",
    )


def clears(library: RawLibrary) -> Verdict:
    """rkllm_clear_kv_cache without the system prompt leaves no token."""
    needs_cache_size(library)
    library.load()
    library.run(keep_history=1)
    before, status = library.cache_size(), library.clear()
    return judged(
        status == 0 and library.cache_size() == 0,
        f"It returned {status}; {before} tokens before, {library.cache_size()} after it.",
    )


def cleared_is_as_new(library: RawLibrary) -> Verdict:
    """After a clear, a prompt has the answer that it had first: --history connection needs it."""
    library.prepare("rkllm_clear_kv_cache", {"keep_system_prompt": 0})
    library.load()
    first = library.run(keep_history=1)
    library.run("My name is Ada. Remember it.", keep_history=1)
    library.clear()
    again = library.run(keep_history=1)
    return judged(
        again.text == first.text,
        f"The first answer had {len(first.text)} bytes, the same after other runs and a clear"
        f" {len(again.text)}, {'equal' if again.text == first.text else 'different'}.",
    )


def template_clears(library: RawLibrary) -> Verdict:
    """rkllm_set_chat_template clears the cache."""
    needs_cache_size(library)
    library.load()
    library.run(keep_history=1)
    before = library.cache_size()
    template = {"system_prompt": "", "prompt_prefix": "", "prompt_postfix": ""}
    status = library.call("rkllm_set_chat_template", template)
    return judged(
        status == 0 and library.cache_size() == 0,
        f"It returned {status}; {before} tokens before, {library.cache_size()} after it.",
    )


def copies_strings(library: RawLibrary) -> Verdict:
    """Strings of rkllm_set_chat_template may be overwritten after it has returned."""
    names = ("system_prompt", "prompt_prefix", "prompt_postfix")
    texts = dict(zip(names, (b"Answer briefly.", b"<user>", b"</user>"), strict=True))
    prepared = library.prepare(
        "rkllm_set_chat_template", {name: text.decode() for name, text in texts.items()}
    )
    library.load()
    answers = []
    for overwritten in (False, True):
        buffers = {name: ctypes.create_string_buffer(text) for name, text in texts.items()}
        library.kept.append(buffers)
        pointers = {name: ctypes.c_char_p(ctypes.addressof(b)) for name, b in buffers.items()}
        status = library.call_prepared(prepared, **pointers)
        if status != 0:
            raise NotTestable(f"rkllm_set_chat_template returned {status}.")
        for buffer in buffers.values() if overwritten else ():
            buffer.raw = b"Z" * (len(buffer) - 1) + b"\0"
        answers.append(library.run().text)
    same = answers[0] == answers[1]
    return judged(
        same,
        f"The answers with the strings kept and overwritten are {'equal' if same else 'different'}"
        f" ({len(answers[0])} and {len(answers[1])} bytes).",
    )


def copies_param(library: RawLibrary) -> Verdict:
    """rkllm_init's RKLLMParam may be overwritten after it has returned."""
    library.load()
    first = library.run().text
    param = library.init_param
    ctypes.memset(ctypes.addressof(param), 0, ctypes.sizeof(param))
    again = library.run().text
    return judged(
        first == again,
        f"The answers before and after RKLLMParam was overwritten with zeros are"
        f" {'equal' if first == again else 'different'}.",
    )


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def destroy_frees(library: RawLibrary) -> Verdict:
    """rkllm_destroy frees memory, descriptors and threads, over several loads."""
    figures = []
    for _ in range(LOADS_COMPARED + 1):
        library.load()
        library.run()
        status = library.destroy()
        if status != 0:
            return judged(False, f"rkllm_destroy returned {status}.")
        open_files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the count is all
        figures.append((_status("VmRSS") * 1024, open_files, _status("Threads")))
    first, last = figures[0], figures[-1]
    size = Path(library.model).stat().st_size
    grown = last[0] - first[0]
    holds = grown < max(16 * MIB, size // 10) and last[1] <= first[1] and last[2] <= first[2]
    return judged(
        holds,
        f"After {LOADS_COMPARED} more loads and destroys: {grown / MIB:+.1f} MiB,"
        f" {last[1] - first[1]:+d} descriptors, {last[2] - first[2]:+d} threads.",
    )


def destroy_while_running(library: RawLibrary) -> Verdict:
    """rkllm_destroy during a run ends the run, or waits for its end."""
    library.load()
    ran, status = library.run_with(library.destroy)
    return judged(
        status == 0,
        f"rkllm_destroy returned {status}; rkllm_run returned {ran.status} after"
        f" {len(ran.callbacks)} callbacks, {threading.active_count()} threads of Python are left.",
    )


def loads_again(library: RawLibrary) -> Verdict:
    """A model can be loaded after a destroy in the same process."""
    library.load()
    first = library.run(QUESTION).text
    library.destroy()
    status = library.init()
    again = library.run(QUESTION).text if status == 0 and library.handle else b""
    return judged(
        status == 0 and again == first,
        f"The second rkllm_init returned {status}; the answers are"
        f" {'equal' if again == first else 'different'}.",
    )
