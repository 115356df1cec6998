"""The process that decodes one picture: its bytes in, the pixels that an encoder takes out.

The arguments are width, height, fit and resample. The kernel ends this process if the picture uses
too much time or memory.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rkllm_twisted.chat.extras import ExtraMissingError
from rkllm_twisted.offload.worker import OOM_SCORE_ADJ
from rkllm_twisted.vision.decode import PictureError
from rkllm_twisted.vision.limits import MAX_ENCODED_BYTES
from rkllm_twisted.vision.pixels import Fit, Preparation, Resample, prepared

#: Seconds of computing. 50 megapixels take one or two.
CPU_LIMIT_S = 20.0
#: The environment variable that sets another limit, for tests.
CPU_LIMIT_VARIABLE = "RKLLM_PICTURE_CPU_LIMIT"
#: Of the address space, in bytes: 50 megapixels are held four times at most, with 4 bytes each.
MEMORY_LIMIT_BYTES = 3 << 29
#: Exit codes: the picture cannot be used; Pillow is missing. A sentence is written then.
REFUSED, MISSING = 3, 4


def answer(data: bytes, arguments: Sequence[str]) -> tuple[int, bytes]:
    """Return the exit code, and the pixels or a sentence."""
    width, height, fit, resample = arguments
    preparation = Preparation(int(width), int(height), Fit(fit), Resample(resample))
    try:
        return 0, prepared(data, preparation)
    except PictureError as error:
        return REFUSED, str(error).encode()
    except ExtraMissingError as error:
        return MISSING, str(error).encode()
    except MemoryError:
        return REFUSED, b"needs too much memory to decode"


def main() -> None:
    """Decode the picture on the standard input."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the daemon gets them, too, and ends this process
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # nothing handles it: the kernel ends the process
    limit = float(os.environ.get(CPU_LIMIT_VARIABLE, CPU_LIMIT_S))
    signal.setitimer(signal.ITIMER_PROF, limit)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE_ADJ))
    code, output = answer(sys.stdin.buffer.read(MAX_ENCODED_BYTES + 1), sys.argv[1:])
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.buffer.write(output)
        sys.stdout.buffer.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
