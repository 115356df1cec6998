"""``embeddings.create``."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, INeedsModel, IRPCMethod, IUsesNPU


@attrs.frozen
class Params:
    """The parameters of the method.

    :param input: a text, tokens, or a list of either.
    :param model: a model by its name or alias; null for the loaded one.
    :param dimensions: how many to keep, for models that were trained so; the rest is cut off.
    :param encoding_format: float, or base64 of little-endian float32.
    :param pooling: last, mean or cls, in place of the model's own.
    """

    input: Any
    model: str | None = None
    dimensions: int | None = None
    encoding_format: str = "float"
    pooling: str | None = None


@implementer(IPlugin, IRPCMethod, INeedsModel, IUsesNPU)
@attrs.frozen
class EmbeddingsCreate:
    """Makes embeddings of texts."""

    name = "embeddings.create"
    summary = "Make an embedding of each text, of length 1, from the model's hidden states."
    params = Params
    streams = False

    def call(self, call: ICall) -> object:
        """Queue turns of the NPU."""
        return call.daemon.inference.answer(self.name, call.params, call.conversation, call.stream)


embeddings_create = EmbeddingsCreate()
