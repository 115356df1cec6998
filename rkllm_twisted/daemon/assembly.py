"""Assembles the daemon from its options and its parts; it only wires them together.

``makeService(options)`` opens the library, so that it finds a wrong one before the daemon listens,
and returns a service that has not started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import attrs
from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger

from rkllm_twisted.abi.release import Release
from rkllm_twisted.daemon.about import About
from rkllm_twisted.daemon.configured_model import ConfiguredModel, model_of
from rkllm_twisted.daemon.hosting import RUNTIME_HOSTS, RuntimeHost
from rkllm_twisted.daemon.keep_alive import KeepAlive
from rkllm_twisted.daemon.memory_domain import (
    AdaptParam,
    beside,
    this_board,
    unadapted,
    with_encoder,
)
from rkllm_twisted.daemon.named_models import NamedModels
from rkllm_twisted.daemon.options import Options
from rkllm_twisted.daemon.resident_model import ResidentModel
from rkllm_twisted.daemon.service import DaemonService
from rkllm_twisted.daemon.vision_parts import encoder_services, vision_for, vision_requests
from rkllm_twisted.interfaces import INPU, IListeningSocket, IRPCMethod, IRuntime
from rkllm_twisted.npu.history import history_for
from rkllm_twisted.npu.pool import NPUThreadPool, thread_npu
from rkllm_twisted.npu.timeouts import Timeouts
from rkllm_twisted.offload.parser import Reader
from rkllm_twisted.rpc.access_log import AccessLog
from rkllm_twisted.rpc.dispatch import Dispatcher
from rkllm_twisted.rpc.limits import Limits
from rkllm_twisted.rpc.permissions import Permissions, Principals
from rkllm_twisted.rpc.registry import find_methods
from rkllm_twisted.runtime.files import Files
from rkllm_twisted.server.endpoint import RKLLMServerEndpoint
from rkllm_twisted.server.factory import RPCFactory
from rkllm_twisted.server.service import UNIXSocketService, descriptors_for
from rkllm_twisted.server.socket_file import SAME_ID, SocketFile
from rkllm_twisted.values import SelfDescription
from rkllm_twisted.vision_interfaces import EncoderLoad, IVision
from rkllm_twisted.wire.messages import Message

_log = Logger("rkllm.daemon")

__all__ = [
    "Options",
    "daemon_in",
    "factory_for",
    "limits_of",
    "makeService",
    "permissions_of",
    "socket_of",
    "timeouts_of",
]


def limits_of(options: Options) -> Limits:
    """Return the limits that the options set for connections."""
    return Limits(
        max_clients_per_user=options["max-clients-per-user"],
        max_length=options["max-message"],
        message_timeout=options["message-timeout"],
        max_unread_total=options["max-unread-total"],
        max_unparsed=options["max-unparsed"],
        max_requests=options["max-requests"],
        max_unread=options["max-unread"],
        unread_timeout=options["unread-timeout"],
    )


def timeouts_of(options: Options) -> Timeouts:
    """Return the timeouts that the options set for calls."""
    return Timeouts(
        init=options["init-timeout"],
        first_token=options["first-token-timeout"],
        token=options["token-timeout"],
    )


def permissions_of(options: Options) -> Permissions:
    """Return the users and groups that may connect or administer, from the options."""
    return Permissions(
        clients=Principals(options["allow-uid"], options["allow-gid"]),
        administrators=Principals(options["admin-uid"], options["admin-gid"]),
    )


def socket_of(options: Options) -> SocketFile:
    """Return the socket that the options name."""
    owner, group = (SAME_ID if options[of] is None else options[of] for of in ("owner", "group"))
    return SocketFile(options["socket"], options["mode"], owner, group)


def makeService(
    options: Options, reactor: Any = None, source: IListeningSocket | None = None
) -> DaemonService:
    """Make a daemon that has not started.

    :param options: parsed :class:`Options`.
    :param reactor: the reactor to run on; the global one by default.
    :param source: the socket to listen on; by default the one that the options name.
    :raises StartupError: the library, a plugin or the history cannot be used; the text says what to
        do.
    """
    if reactor is None:
        from twisted.internet import reactor  # noqa: PLC0415 - importing it would install one
    methods = find_methods()
    host = RUNTIME_HOSTS[options["isolation"]](options, reactor)
    return daemon_in(host, options, methods, reactor, source)


def daemon_in(
    host: RuntimeHost,
    options: Options,
    methods: Mapping[str, IRPCMethod],
    reactor: Any,
    source: IListeningSocket | None = None,
    adapt_profile: Callable[[Any], Any] | None = None,
) -> DaemonService:
    """Make the daemon around a runtime.

    :param host: the runtime, and what keeps it running.
    :param source: see :func:`makeService`.
    :param adapt_profile: see :class:`rkllm_twisted.inference.models.Profiles`.
    :raises StartupError: the runtime cannot keep the histories that the options ask for, or the
        model of the options cannot be loaded.
    """
    pool = NPUThreadPool()
    history = history_for(host.runtime, options["history"])
    npu = thread_npu(reactor, pool, host.runtime, options["queue"], history, timeouts_of(options))
    reader = Reader(reactor)
    vision = vision_for(npu, options)
    adapt = beside(vision, npu.release, this_board())
    resident = resident_for(npu, options, reactor, adapt, vision)
    factory = factory_for(
        *(npu, options, methods, reactor, reader.read, resident),
        adapt_profile=adapt_profile,
        vision=vision,
    )
    endpoint = RKLLMServerEndpoint(reactor, source or socket_of(options))
    listener = UNIXSocketService(endpoint, factory, descriptors_for(options["max-clients"]))
    services = [
        vision,
        *encoder_services(options, reactor, vision),
        *_model_services(options, reactor, npu, resident, host.runtime),
    ]
    return DaemonService(reactor, host, pool, npu, factory, listener, reader, services)


def _model_services(
    options: Options, reactor: Any, npu: INPU, resident: ResidentModel, runtime: IRuntime
) -> Iterator[IService]:
    """Yield what loads and unloads a model by itself, if the options ask for it."""
    if options["model"] is not None:
        model = model_of(options, runtime)
        if options["encoder"] is not None:  # it may be loaded later, if its first load fails
            asked, board = EncoderLoad(options["encoder"]), this_board()
            param = with_encoder(model.param, asked, model.named, runtime.release, board)
            model = attrs.evolve(model, param=param)
        yield ConfiguredModel(reactor, npu, model.path, partial(model.load, npu, resident))
    if options["keep-alive"] is not None:
        yield KeepAlive(reactor, npu, options["keep-alive"])


def resident_for(
    npu: INPU,
    options: Options,
    reactor: Any,
    adapt: AdaptParam = unadapted,
    vision: IVision | None = None,
) -> ResidentModel:
    """Make what serves requests that name a model.

    :param adapt: see :class:`ResidentModel`.
    :param vision: the encoder of pictures; None if the daemon has none.
    :raises LibraryError: a directory of the options does not exist.
    """
    models = NamedModels(
        options["model-dir"], npu, reactor, lambda: vision.encoder if vision else None
    )
    return ResidentModel(reactor, npu, models, options["queue"], adapt=adapt)


def _inference(
    reactor: Any,
    npu: INPU,
    resident: ResidentModel,
    options: Options,
    adapt_profile: Callable[[Any], Any] | None,
    vision: IVision | None,
) -> Any:
    """Make what serves chat. The first client that needs it pays for the imports."""
    from rkllm_twisted.inference.model_turns import ModelTurns  # noqa: PLC0415
    from rkllm_twisted.inference.models import Profiles  # noqa: PLC0415
    from rkllm_twisted.inference.pictures import Pictures  # noqa: PLC0415
    from rkllm_twisted.inference.prompt_cache import open_prompts  # noqa: PLC0415
    from rkllm_twisted.inference.service import Inference  # noqa: PLC0415

    models = resident.models
    profiles = Profiles(
        *(npu, models.catalogue, models.has_directories, models.catalogue_of), adapt=adapt_profile
    )
    directory, limit = options["cache-dir"], options["cache-bytes"]
    prompts = directory and partial(open_prompts, directory, limit, partial(_warn, reactor))
    pictures = Pictures(npu.release, vision, Files(options["model-dir"]))
    return Inference(
        ModelTurns(
            *(reactor, npu, resident, profiles),
            open_prompts=prompts or None,
            pictures=pictures,
        )
    )


def _warn(reactor: Any, text: str) -> None:
    """Log a warning. From any thread."""
    if IReactorFromThreads.providedBy(reactor):
        reactor.callFromThread(_log.warn, "{problem}", problem=text)
    else:  # a clock, and all in one thread
        _log.warn("{problem}", problem=text)


def _describe(methods: Mapping[str, IRPCMethod], release: Release) -> SelfDescription:
    """Describe the methods. The first client that asks pays for the imports."""
    from rkllm_twisted.daemon.self_description import describe_for  # noqa: PLC0415

    return describe_for(methods, release)


def factory_for(
    npu: INPU,
    options: Options,
    methods: Mapping[str, IRPCMethod],
    reactor: Any,
    read_elsewhere: Callable[[bytes], Deferred[Message]] | None = None,
    resident: ResidentModel | None = None,
    describe: Callable[[], SelfDescription] | None = None,
    adapt_profile: Callable[[Any], Any] | None = None,
    vision: IVision | None = None,
) -> RPCFactory:
    """Make the factory that serves an NPU to clients.

    :param read_elsewhere: see :class:`RPCFactory`.
    :param resident: what serves requests that name a model; None: it is made here.
    :param describe: describes the methods; None: what is made when a client first asks for it.
    :param adapt_profile: see :func:`daemon_in`.
    :param vision: the encoder of pictures; None if the daemon has none.
    """
    resident = resident or resident_for(npu, options, reactor, vision=vision)
    about = About(
        reactor,
        npu,
        lambda: len(factory.connections),
        describe or partial(_describe, methods, npu.release),
        resident,
        options["history"],
        partial(_inference, reactor, npu, resident, options, adapt_profile, vision),
        vision,
        partial(vision_requests, vision, options) if vision else None,
    )
    if options["cache-dir"] is not None:
        _ = about.inference  # before clients load saved prompts of their own
    access_log = AccessLog(options["log-level"], options["log-prompts"])
    dispatcher = Dispatcher(methods, npu, about, access_log)
    permissions = permissions_of(options)
    factory = RPCFactory(
        dispatcher,
        reactor,
        options["max-clients"],
        limits_of(options),
        permissions.admit,
        permissions.administers,
        has_reserve=permissions.has_reserve,
        read_elsewhere=read_elsewhere,
    )
    return factory
