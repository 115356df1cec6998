"""Makes turns of the NPU for requests. In the reactor thread; what takes long is in threads."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

import attrs
from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool

from rkllm_twisted.errors import Busy, NoModel
from rkllm_twisted.inference.cache_watch import CacheWatch
from rkllm_twisted.inference.models import Profiles
from rkllm_twisted.inference.pictures import Pictures
from rkllm_twisted.inference.profile import ModelProfile
from rkllm_twisted.inference.prompt_cache import PromptCache
from rkllm_twisted.inference.requests import RunLimits, run_limits
from rkllm_twisted.inference.token_engines import TokenEngines
from rkllm_twisted.inference.traits import RuntimeTraits, traits_of
from rkllm_twisted.interfaces import INPU, ITurn
from rkllm_twisted.models.resident import CurrentModel, IResidentModel

#: If other clients load other models meanwhile, a request is prepared anew, up to so many times.
MAX_PREPARATIONS = 4
#: The states of the NPU in which a model may be there soon.
_SOON = ("loading", "running")

#: The path and the room of the loaded model, if there is none.
NOTHING = (None, None)

OpenPrompts = Callable[[RuntimeTraits, CacheWatch], PromptCache | None]
P = TypeVar("P")
T = TypeVar("T")


@attrs.frozen
class TurnCalls(Generic[T]):
    """The calls of one turn with the loaded model.

    :param perform: makes them. In the NPU thread.
    :param continues: see :meth:`~rkllm_twisted.interfaces.INPU.perform`.
    """

    perform: Callable[[ITurn], T]
    continues: Callable[[], bool] | None = None


def _wait(_: ITurn) -> None:
    """Do nothing: the calls before have ended."""


class _OtherModelError(Exception):
    """Another model is loaded than the one that the request was prepared for."""


class ModelTurns:
    """Finds the model of a request, prepares the request for it, and makes the turn.

    :param resident: makes turns with models by name.
    :param now: the local time, for templates that show the date.
    :param open_prompts: opens the saved prompts, with what the two attributes below are.
    :param pictures: makes rows of images; None: images are refused.
    :ivar traits: what the runtime can do.
    :ivar watch: what the cache holds.
    :ivar prompts: the saved prompts; None if none are saved.
    :ivar engines: the tokens of models, for answers in a form.
    """

    def __init__(
        self,
        reactor: Any,
        npu: INPU,
        resident: IResidentModel,
        profiles: Profiles,
        now: Callable[[], datetime] = datetime.now,
        open_prompts: OpenPrompts | None = None,
        pictures: Pictures | None = None,
    ) -> None:
        self._reactor = reactor
        self._npu = npu
        self._resident = resident
        self._profiles = profiles
        self.now = now
        self.pictures = pictures or Pictures(npu.release)
        self.traits = traits_of(npu.release, npu.version().backend)
        self.watch = CacheWatch()
        self.prompts = None if open_prompts is None else open_prompts(self.traits, self.watch)
        self.engines = TokenEngines()
        self._reading = DeferredLock()
        npu.observe(self.watch)

    async def answer(
        self,
        name: str | None,
        client: Hashable,
        prepare: Callable[[ModelProfile], P],
        turns: Callable[[ModelProfile, P], Iterable[TurnCalls[T]]],
    ) -> tuple[ModelProfile, P, list[T]]:
        """Answer a request. If another model is loaded meanwhile, begin anew.

        :param name: a model by its name or alias; None for the loaded one.
        :param prepare: what is done before the NPU is used, in a thread.
        :param turns: called with the profile and what was prepared; returns the work of each turn.
        :returns: the profile, what was prepared, and the result of each turn.
        :raises RPCError: a parameter is wrong, or the NPU failed.
        """
        for _ in range(MAX_PREPARATIONS):
            profile = await self.profile(name, client)
            prepared = await self.in_thread(prepare, profile)
            try:
                results = [
                    await self._perform(name, profile, work, client)
                    for work in turns(profile, prepared)
                ]
            except _OtherModelError:
                continue
            return profile, prepared, results
        raise Busy("Other clients load other models all the time; try again later.")

    def limits(self, params: Any, profile: ModelProfile) -> RunLimits:
        """Return the settings of a run.

        :param params: sampling, max_new_tokens and lora of a request.
        :raises InvalidParams: one of them is wrong.
        """
        adapters = self._npu.status().lora_adapters
        return run_limits(
            self.traits,
            profile.sampling,
            params.sampling,
            params.max_new_tokens,
            params.lora,
            adapters,
        )

    def adapter(self, name: str | None) -> Mapping[str, object]:
        """Return the fields of a run with a LoRA adapter.

        :raises InvalidParams: no adapter of that name is loaded.
        """
        adapters = self._npu.status().lora_adapters
        return run_limits(self.traits, {}, None, None, name, adapters).infer

    async def profile(self, name: str | None, client: Hashable) -> ModelProfile:
        """Return what is known of a model.

        :param name: a name or an alias; None for the loaded model.
        :raises NoModel: no model is loaded.
        :raises InvalidParams: no model has the name, or its files cannot be used.
        """
        loads, loaded = self._npu.status().loads, self._loaded()
        if name is not None:
            return await self._read(lambda: self._profiles.named(name, *loaded))
        if loaded == NOTHING and self._npu.status().state in _SOON:
            await self._npu.perform(_wait, client)  # what is under way may be its load
            loads, loaded = self._npu.status().loads, self._loaded()
        path, context = loaded
        if path is None or context is None:
            raise NoModel.after(self._npu.status().problem, self._profiles.remedy)
        return await self._read(lambda: self._profiles.loaded(path, context, loads))

    def _read(self, read: Callable[[], ModelProfile]) -> Deferred[ModelProfile]:
        """Read a profile in a thread, one at a time: it is read once."""
        return self._reading.run(lambda: self.in_thread(read))

    def _loaded(self) -> tuple[str | None, int | None]:
        """Return the path of the loaded model and its room in tokens."""
        status = self._npu.status()
        if status.model_path is None:
            return NOTHING
        if status.max_context_len is not None:
            return status.model_path, status.max_context_len
        prepared: Any = self._npu.prepare("rkllm_init", [{"model_path": status.model_path}])
        return status.model_path, prepared.checked.model_limits.max_context_len

    def _perform(
        self, name: str | None, profile: ModelProfile, work: TurnCalls[T], client: Hashable
    ) -> Deferred[T]:
        """Do the work of one turn with a model.

        :param name: the name that the client has given; None for the loaded model.
        :param profile: what the work was prepared with.
        :returns: a Deferred of the work's result.
        """

        def procedure(turn: ITurn, model: CurrentModel) -> T:
            room = turn.max_context_len or profile.chat.context
            if (model.path, room) != (profile.path, profile.chat.context):
                raise _OtherModelError
            return work.perform(turn)

        done: Deferred[T] = self._resident.perform(
            name, procedure, client, continues=work.continues
        )
        return done

    def in_thread(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        """Call a function in a thread of the reactor's pool, if the reactor has one."""
        if not IReactorThreads.providedBy(self._reactor):
            return maybeDeferred(function, *args)
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), function, *args)
