"""A library is probed where it can do no harm: in a fork or, beside threads, a new Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

#: A library's fault while it is opened -> the daemon's message; it then exits with 1.
DEEDS = {
    "raise(SIGSEGV);": "crashes while it is opened (SIGSEGV)",
    "abort();": "crashes while it is opened (SIGABRT)",
    "_exit(3);": "The library could not be opened.",
    "pause();": "did not open within 1 s",
    'for (int i = 0; i < 20000; i++) puts("noise");': "does not export rkllm_init",
}
PROGRAM = """
import os, sys, threading
from rkllm_twisted.runtime import probe
from rkllm_twisted.errors import LibraryError

library, threads = sys.argv[1], int(sys.argv[2])
probe.PROBE_TIMEOUT_S = float(sys.argv[3])
over = threading.Event()
for _ in range(threads - 1):
    threading.Thread(target=over.wait).start()
assert threading.active_count() == threads
before = os.listdir("/proc/self/fd")
try:
    found = probe.probe(library, None, os.environ)
    print(found.version.abi, len(found.defaults) > 100)
except LibraryError as error:
    print(error)
assert len(os.listdir("/proc/self/fd")) == len(before)
try:
    os.waitpid(-1, os.WNOHANG)
    print("a process is left")
except ChildProcessError:
    over.set()
"""


def looked_at(library: str, threads: int, patience: int = 60) -> str:
    """The output of a program with that many threads that probes a library."""
    command = [sys.executable, "-c", PROGRAM, library, str(threads), str(patience)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    return done.stdout


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("deed", DEEDS)
def test_what_a_library_does_while_it_is_opened_is_one_sentence(
    tmp_path: Path, deed: str, threads: int
) -> None:
    """The probe reports each fault of a library as one line."""
    includes = "".join(f"#include <{name}.h>\n" for name in ("signal", "stdio", "stdlib", "unistd"))
    source, library = tmp_path / "bad.c", tmp_path / "bad.so"
    source.write_text(
        f"{includes}__attribute__((constructor)) static void open_me(void) {{ {deed} }}\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    sentence = looked_at(str(library), threads, 1 if deed == "pause();" else 60)
    assert DEEDS[deed] in sentence
    assert sentence.count("\n") == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_a_good_library_shows_its_layout(threads: int) -> None:
    """A fork and a new Python find the same layout."""
    assert looked_at("cpu", threads) == "1.3.0 True\n"
