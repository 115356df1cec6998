"""``rerank.score``."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, INeedsModel, IRPCMethod, IUsesNPU


@attrs.frozen
class Params:
    """The parameters of the method.

    :param query: what the documents are to answer.
    :param documents: texts, or objects with text.
    :param model: a model by its name or alias; null for the loaded one.
    :param instruction: what counts as an answer, for models of kind rerank.
    :param top_n: how many to return; null for all.
    :param return_documents: return the texts, too.
    """

    query: str
    documents: list[Any]
    model: str | None = None
    instruction: str | None = None
    top_n: int | None = None
    return_documents: bool = False


@implementer(IPlugin, IRPCMethod, INeedsModel, IUsesNPU)
@attrs.frozen
class RerankScore:
    """Scores documents."""

    name = "rerank.score"
    summary = "Say how well each document answers a query, the best first."
    params = Params
    streams = False

    def call(self, call: ICall) -> object:
        """Queue turns of the NPU."""
        return call.daemon.inference.answer(self.name, call.params, call.conversation, call.stream)


rerank_score = RerankScore()
