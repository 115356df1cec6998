"""Answers the requests of clients. In the reactor thread; what takes long goes into threads."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool

from rkllm_twisted.chat.compose import compose
from rkllm_twisted.chat.events import Event
from rkllm_twisted.chat.prompts import ChatRequest, Prompt
from rkllm_twisted.errors import Busy, NoModel
from rkllm_twisted.inference.cache_watch import CacheWatch
from rkllm_twisted.inference.chat_turn import ChatTurn, TurnResult
from rkllm_twisted.inference.models import Profiles
from rkllm_twisted.inference.profile import ModelProfile
from rkllm_twisted.inference.replies import Reply, chat_reply, pieces_of
from rkllm_twisted.inference.requests import chat_request, run_limits
from rkllm_twisted.inference.traits import traits_of
from rkllm_twisted.interfaces import INPU, ITurn
from rkllm_twisted.models.resident import CurrentModel, IResidentModel

#: If other clients load other models meanwhile, a request is prepared anew, up to so many times.
TRIES = 4
#: The states of the NPU in which a model may be there soon.
_SOON = ("loading", "running")

#: The path and the room of the loaded model, if there is none.
NOTHING = (None, None)

T = TypeVar("T")
#: Does the work of a turn with the loaded model. In the NPU thread.
Work = Callable[[ITurn], T]


def _wait(_: ITurn) -> None:
    """Do nothing: the calls before have ended."""


class _OtherModelError(Exception):
    """Another model is loaded than the one that the request was prepared for."""


class Inference:
    """Serves chat, text, embeddings, scores and tokens to the methods.

    :param resident: makes turns with models by name.
    :param now: the local time, for templates that show the date.
    """

    def __init__(
        self,
        reactor: Any,
        npu: INPU,
        resident: IResidentModel,
        profiles: Profiles,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._reactor = reactor
        self._npu = npu
        self._resident = resident
        self._profiles = profiles
        self._now = now
        self._traits = traits_of(npu.release, npu.version().backend)
        self._watch = CacheWatch()
        self._reading = DeferredLock()
        npu.observe(self._watch)

    async def chat(self, params: Any, client: Hashable, stream: Callable[[Reply], object]) -> Reply:
        """Answer a conversation.

        :param params: those of ``chat.complete``.
        :param stream: called with each partial result, if the request asks for it.
        :returns: the result of ``chat.complete``.
        :raises RPCError: a parameter is wrong, or the NPU failed.
        """

        def on_events(events: list[Event]) -> None:
            for piece in pieces_of(events):
                stream(piece)

        def turn_of(profile: ModelProfile, request: ChatRequest, prompt: Prompt) -> ChatTurn:
            limits = run_limits(
                self._traits,
                profile.sampling,
                params.sampling,
                request.max_new_tokens,
                request.adapter,
                self._npu.status().lora_adapters,
            )
            return ChatTurn(
                profile,
                prompt,
                self._traits,
                self._watch,
                request.adapter,
                limits.infer,
                limits.limit,
                on_events if params.stream else None,
            )

        for _ in range(TRIES):
            profile = await self.profile(params.model, client)
            request, prompt = await self.in_thread(self._composed, params, profile)
            chat_turn = turn_of(profile, request, prompt)
            try:
                result: TurnResult = await self.perform(
                    params.model, profile, chat_turn.perform, client
                )
            except _OtherModelError:
                continue
            return chat_reply(profile, prompt, result)
        raise Busy("Other clients load other models all the time; try again later.")

    def _composed(self, params: Any, profile: ModelProfile) -> tuple[ChatRequest, Prompt]:
        request = chat_request(params, profile)
        return request, compose(profile.chat, request, self._now())

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
            raise NoModel.after(self._npu.status().problem)
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

    def perform(
        self, name: str | None, profile: ModelProfile, work: Work[T], client: Hashable
    ) -> Deferred[T]:
        """Do the work of one turn with a model.

        :param name: the name that the client has given; None for the loaded model.
        :param profile: what the work was prepared with.
        :returns: a Deferred of the work's result.
        """

        def procedure(turn: ITurn, _: CurrentModel) -> T:
            # Nothing changes what is loaded while this thread is here.
            if self._loaded() != (profile.path, profile.chat.context):
                raise _OtherModelError
            return work(turn)

        done: Deferred[T] = self._resident.perform(name, procedure, client)
        return done

    def in_thread(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        """Call a function in a thread of the reactor's pool, if the reactor has one."""
        if not IReactorThreads.providedBy(self._reactor):
            return maybeDeferred(function, *args)
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), function, *args)
