"""Decodes a picture in a process of its own, which the kernel ends if it takes too long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from threading import BoundedSemaphore

from rkllm_twisted.chat.extras import ExtraMissingError
from rkllm_twisted.errors import InternalError
from rkllm_twisted.offload.picture_worker import MISSING, REFUSED
from rkllm_twisted.vision.decode import PictureError
from rkllm_twisted.vision.pixels import Preparation

#: Pictures that are decoded at once: each may take a gigabyte. The others wait.
MAX_AT_ONCE = 2
#: Seconds until the process is ended, even if it waits for a busy machine.
LIMIT_S = 60.0

#: Taken while a picture is decoded.
PLACES = BoundedSemaphore(MAX_AT_ONCE)


def pixels_of(data: bytes, preparation: Preparation) -> bytes:
    """Return the pixels of an encoded picture; see :func:`rkllm_twisted.vision.pixels.prepared`.

    It blocks, and any thread may call it. A picture comes from a client and its decoder is C, so a
    process decodes it, one for each picture: what goes wrong there does not reach the daemon.

    :raises PictureError: the picture cannot be used.
    :raises ExtraMissingError: Pillow is not installed.
    """
    with PLACES:
        done = _run(data, preparation)
    match done.returncode:
        case 0:
            return done.stdout
        case code if code == REFUSED:
            raise PictureError(done.stdout.decode())
        case code if code == MISSING:
            raise ExtraMissingError(done.stdout.decode(), name="Pillow")
        case code if code == -signal.SIGPROF:
            raise PictureError("takes too long to decode")
        case code:
            how = f"signal {-code}" if code < 0 else f"code {code}"
            raise InternalError(f"The process that decodes pictures ended with {how}.")


def _run(data: bytes, preparation: Preparation) -> subprocess.CompletedProcess[bytes]:
    options = (preparation.width, preparation.height)
    ways = (preparation.fit.value, preparation.resample.value)
    try:
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "rkllm_twisted.offload.picture_worker",
                *map(str, options),
                *ways,
            ],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LIMIT_S,
            check=False,
            # twistd may have put its working directory on our path.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    except subprocess.TimeoutExpired:
        raise PictureError("takes too long to decode") from None
