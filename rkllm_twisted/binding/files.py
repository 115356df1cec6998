"""The files that C will open, looked at before it does."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from rkllm_twisted.binding.scalars import refuse
from rkllm_twisted.binding.to_c import FileParameter


def check_files(files: Iterable[FileParameter]) -> None:
    """See that C will find regular, readable files: it may exit or hang over anything else.

    :raises InvalidParams: naming the parameter, e.g. ``param.model_path``.
    """
    for file in files:
        try:
            mode = Path(file.name).stat().st_mode
        except OSError as error:
            if file.exists or not isinstance(error, FileNotFoundError):
                raise refuse(file.path, f"{file.name}: {error.strerror}") from None
            continue
        if not stat.S_ISREG(mode):
            raise refuse(file.path, f"{file.name} is not a regular file")
        if file.exists and not os.access(file.name, os.R_OK):
            raise refuse(file.path, f"{file.name} may not be read")
