"""The layouts that the embedded runtime was built for; a release in the table need not be."""

from __future__ import annotations

from rkllm_twisted.abi.release import releases
from rkllm_twisted.cpu import is_built

EMBEDDED_LAYOUTS = [name for name in releases() if is_built(name)]
