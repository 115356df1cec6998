"""The interface to the model that is loaded: methods use models by name, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import attrs
from zope.interface import Attribute, Interface

from rkllm_twisted.models.named_model import NamedModel


@attrs.frozen
class CurrentModel:
    """The model that is loaded.

    :param path: of its file, as ``rkllm_init`` had it.
    :param load_number: another number after each load, also of the same model: whatever was in the
        cache, templates and adapters included, is gone. It never comes back.
    :param named: the model's files and settings; None: a client loaded it by its path.
    :param param: the RKLLMParam that it was loaded with; empty if ``named`` is None.
    :param lora_adapters: the names of the adapters of ``rkllm.toml``, which are loaded with it.
    :param load_time_s: how long loading took, in seconds.
    """

    path: str
    load_number: int
    named: NamedModel | None = None
    param: Mapping[str, object] = attrs.field(factory=dict)
    lora_adapters: tuple[str, ...] = ()
    load_time_s: float = 0.0

    @property
    def name(self) -> str | None:
        """Its own name; None if a client loaded it by its path."""
        return None if self.named is None else self.named.name


#: The calls of one turn with a model, see :meth:`IResidentModel.perform`: gets an
#: :class:`~rkllm_twisted.interfaces.ITurn` and the :class:`CurrentModel`.
ModelProcedure = Callable[[Any, CurrentModel], Any]
#: Called with ``waiting`` if a request must wait for its turn, and with ``loading`` when the load
#: of its model begins.
OnProgress = Callable[[str], object]


class IResidentModel(Interface):
    """The one model that is loaded. Methods get it as ``call.daemon.resident``.

    Methods use it in the reactor thread. It never blocks. Every Deferred may be cancelled, as those
    of :class:`~rkllm_twisted.interfaces.INPU`: a request that waits is forgotten; a model that C is
    loading will be loaded.
    """

    loaded = Attribute(
        "CurrentModel or None: the loaded model, also one that a client loaded by its path. None"
        " while a model is being loaded."
    )
    waiting = Attribute("A tuple of :class:`Waiting`: who waits for another model to be loaded.")

    def perform(
        name: str | None,  # noqa: N805 - a zope interface has no self
        procedure: ModelProcedure,
        client: Hashable = None,
        on_progress: OnProgress | None = None,
        continues: Callable[[], bool] | None = None,
    ) -> Any:
        """Make the calls of a procedure in one turn, with a model loaded.

        If another model is loaded, the request waits for the requests that run with that one, and
        then the model of this name is loaded within the turn, before the procedure's calls. Later
        requests for the loaded model may pass, within the limits of
        :mod:`~rkllm_twisted.models.swap_order`.

        A model that is loaded stays as it is, with the parameters of ``models.load``, even if its
        ``rkllm.toml`` has changed since. A run of a model with ``end_tokens`` in ``rkllm.toml``
        ends at such a token, as if the model had ended it; the token is not delivered.

        :param name: of a model in --model-dir, or an alias; None: whatever model is loaded.
        :param procedure: called in the NPU thread, see
            :meth:`~rkllm_twisted.interfaces.INPU.perform`, with the turn and the loaded model.
        :param client: any hashable; the turns go round the clients. An
            :class:`~rkllm_twisted.interfaces.IConversation` that may not administer cannot have
            another model loaded.
        :param on_progress: called in the reactor thread, never after the Deferred has fired.
        :param continues: see :meth:`~rkllm_twisted.interfaces.INPU.perform`.
        :returns: a Deferred of what the procedure returns or raises. It fails with InvalidParams if
            no model has the name, several do, or it cannot be loaded; with NoModel if no model is
            loaded and ``name`` is None; with NotAllowed; with the error of ``rkllm_init``, of which
            ``data`` has ``unloaded``, the model that was loaded before and is lost; and with the
            errors of :meth:`~rkllm_twisted.interfaces.INPU.perform`.
        """

    def load(
        name: str,  # noqa: N805
        param: Mapping[str, object] | None = None,
        client: Hashable = None,
        on_progress: OnProgress | None = None,
    ) -> Any:
        """Load a model, unless it is loaded already with the same file and the same parameters.

        :param param: fields of RKLLMParam, in place of those in ``rkllm.toml``.
        :returns: a Deferred of the :class:`CurrentModel`; it fails as that of :meth:`perform`.
        """

    def unload(name: str | None = None, client: Hashable = None) -> Any:  # noqa: N805
        """Unload the model, when its turn comes.

        :param name: the model that must be the loaded one; None: whatever model is loaded.
        :returns: a Deferred of the :class:`CurrentModel` that it was. It fails with NoModel if none
            is loaded, and with InvalidParams if another is.
        """
