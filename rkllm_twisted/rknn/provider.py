"""The kind of encoder file that librknnrt opens: a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.vision_interfaces import IVisionEncoder

if TYPE_CHECKING:
    from rkllm_twisted.rknn.encoder import RKNNEncoder

#: The first bytes of an RKNN file, as public readers of such files have them.
MAGIC = b"RKNN"
#: The first bytes of a text file for ``--vision-library scripted``.
SCRIPT = b"#!rknn-script"


@implementer(IPlugin, IVisionEncoder)
@attrs.frozen
class RKNN:
    """``.rknn`` files."""

    name = "rknn"

    def recognises(self, head: bytes, path: str) -> bool:
        """See :meth:`IVisionEncoder.recognises`."""
        return head.startswith((MAGIC, SCRIPT))

    def open(self, path: str, cores: str = "auto", library: str | None = None) -> RKNNEncoder:
        """See :meth:`IVisionEncoder.open`."""
        from rkllm_twisted.rknn.encoder import RKNNEncoder  # noqa: PLC0415 - for the process only
        from rkllm_twisted.rknn.library import open_library  # noqa: PLC0415

        return RKNNEncoder(open_library(library), path, cores)


rknn = RKNN()
