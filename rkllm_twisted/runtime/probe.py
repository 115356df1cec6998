"""Opens a library in a process of its own, because it may crash while it is opened.

The result is what the daemon must know without opening it: version, layout, and the bytes of its
default RKLLMParam.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from typing import NoReturn

import attrs

from rkllm_twisted.abi.image import pointers_of
from rkllm_twisted.abi.release import Release
from rkllm_twisted.errors import LibraryError, StartupError
from rkllm_twisted.runtime.runtime import open_runtime
from rkllm_twisted.values import RuntimeVersion

#: Seconds; a library that takes longer to open will not be of use.
PROBE_TIMEOUT_S = 60.0


@attrs.frozen
class Findings:
    """The findings of the probe.

    :param defaults: the bytes of the RKLLMParam that ``rkllm_createDefaultParam`` returns.
    :param texts: the texts that it points to, by the offsets of the pointers.
    """

    version: RuntimeVersion
    defaults: bytes
    texts: Mapping[int, bytes] = attrs.field(factory=dict)


@attrs.frozen
class _Ended:
    """The end of the process, and its output.

    :param status: its exit code; negative, the signal that killed it.
    """

    status: int
    output: bytes
    errors: bytes


def probe(library: str | None, abi: str | None, environ: Mapping[str, str]) -> Findings:
    """Open a library in another process and return what it finds out.

    :param library: see :func:`~rkllm_twisted.runtime.runtime.open_runtime`.
    :raises LibraryError: it cannot be used; one sentence that says what to do.
    """
    # With several threads a fork could find locks that are never released.
    look = _forked if threading.active_count() == 1 else _started
    try:
        ended = look(library, abi, environ)
    except TimeoutError:
        what = f"did not open within {PROBE_TIMEOUT_S:.0f} s"
        raise LibraryError(f"The library {library or 'librkllmrt.so'} {what}.") from None
    if ended.status == 0:
        # The library may print while it is opened; the last line is ours.
        found = json.loads(ended.output.splitlines()[-1])
        texts = {int(at): base64.b64decode(text) for at, text in found["texts"].items()}
        version = RuntimeVersion(**found["version"])
        return Findings(version, base64.b64decode(found["defaults"]), texts)
    if ended.status < 0:
        name = signal.Signals(-ended.status).name
        raise LibraryError(
            f"The library {library or 'librkllmrt.so'} crashes while it is opened ({name})."
        )
    lines = ended.errors.decode("utf-8", "replace").splitlines()
    raise LibraryError(lines[-1] if lines else "The library could not be opened.")


def _started(library: str | None, abi: str | None, environ: Mapping[str, str]) -> _Ended:
    command = [sys.executable, "-m", __name__, json.dumps([library, abi])]
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return _Ended(done.returncode, done.stdout, done.stderr)


def _forked(library: str | None, abi: str | None, environ: Mapping[str, str]) -> _Ended:
    """Do the same in a fork, without the start of Python: a third of the daemon's start."""
    ours, theirs = os.pipe()
    with tempfile.TemporaryFile() as errors:
        pid = os.fork()
        if pid == 0:
            _look_and_exit(library, abi, environ, theirs, errors.fileno())
        os.close(theirs)
        with os.fdopen(ours, "rb") as answer:
            is_there, _, _ = select.select([answer], [], [], PROBE_TIMEOUT_S)
            if not is_there:
                os.kill(pid, signal.SIGKILL)
            output = answer.read()
        _, status = os.waitpid(pid, 0)
        if not is_there:
            raise TimeoutError
        errors.seek(0)
        return _Ended(os.waitstatus_to_exitcode(status), output, errors.read())


def _look_and_exit(
    library: str | None, abi: str | None, environ: Mapping[str, str], answer: int, errors: int
) -> NoReturn:
    """Run in the forked process, and end it without closing or writing anything of the daemon's."""
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        os.dup2(errors, 2)
        os.write(answer, _look(library, abi, environ))
        status = 0
    except StartupError as error:
        os.write(errors, str(error).encode())
    except BaseException:  # noqa: BLE001 - no exception may find its way into the daemon's stack
        os.write(errors, traceback.format_exc().encode())
    finally:
        os._exit(status)


def _look(library: str | None, abi: str | None, environ: Mapping[str, str]) -> bytes:
    """The findings as JSON.

    :raises StartupError: one sentence.
    """
    runtime = open_runtime(library, abi, environ)
    texts = texts_in(runtime.release, runtime.defaults)
    found = {
        "version": attrs.asdict(runtime.version),
        "defaults": base64.b64encode(runtime.defaults).decode(),
        "texts": {at: base64.b64encode(text).decode() for at, text in texts.items()},
    }
    return json.dumps(found).encode()


def texts_in(release: Release, defaults: bytes) -> dict[int, bytes]:
    """Return the texts that a RKLLMParam of this process points to, by the pointers' offsets."""
    places = [at for at, _ in pointers_of(release, "RKLLMParam")]
    addresses = [(at, int.from_bytes(defaults[at : at + 8], "little")) for at in places]
    return {at: ctypes.string_at(address) for at, address in addresses if address}


def main(argv: list[str]) -> None:
    """Print the findings as a line of JSON, or one sentence on stderr."""
    library, abi = json.loads(argv[1])
    try:
        print(_look(library, abi, os.environ).decode())
    except StartupError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv)
