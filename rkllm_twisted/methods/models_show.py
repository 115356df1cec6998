"""``models.show``."""

from __future__ import annotations

import attrs
from twisted.plugin import IPlugin
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, IRPCMethod


@attrs.frozen
class Params:
    """The parameters of the method.

    :param model: a name or an alias.
    :param digest: read the whole file for its digest, unless that is known. It takes seconds.
    """

    model: str
    digest: bool = False


@implementer(IPlugin, IRPCMethod)
@attrs.frozen
class ModelsShow:
    """Returns all that is known of one model without loading it."""

    name = "models.show"
    summary = "All that is known of a model without loading it: files, settings, template."
    params = Params
    streams = False

    def call(self, call: ICall) -> object:
        """Look at the directories as they are now."""
        return call.daemon.models.show(call.params.model, call.params.digest)


models_show = ModelsShow()
