"""Assembles the HTTP service from its options and its parts; it only wires them together."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.application.service import IService
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python import usage

from rkllm_twisted.client.endpoint import Address
from rkllm_twisted.client_core.address import default_socket
from rkllm_twisted.daemon.table_options import TableOptions
from rkllm_twisted.errors import StartupError
from rkllm_twisted.http.daemons import Daemons
from rkllm_twisted.http.keys import KeyRing
from rkllm_twisted.http.registry import Routes, find_routes
from rkllm_twisted.http.resource import APIResource
from rkllm_twisted.http.routes.metrics import MetricsRoute
from rkllm_twisted.http.site import ServiceSite, SiteLimits
from rkllm_twisted.http.trust import Trust, own_names
from rkllm_twisted.http_service.exposure import PassedSocket, descriptions_of, is_local
from rkllm_twisted.http_service.option_table import SETTINGS
from rkllm_twisted.http_service.passed_sockets import passed_sockets
from rkllm_twisted.http_service.service import HTTPService

if TYPE_CHECKING:
    from rkllm_twisted.http.metrics import Metrics

_log = Logger("rkllm.http")

__all__ = ["Options", "makeService", "service_for"]


class Options(TableOptions):
    """The options of ``twistd rkllm-http``, parsed: values by name."""

    settings = SETTINGS
    longdesc: ClassVar[str] = (
        "Serves the models of rkllm daemons over HTTP, as programs for OpenAI, Ollama and"
        " Anthropic expect it."
    )

    def __init__(self) -> None:
        super().__init__()
        #: The options of the daemon in this process; None if there is none.
        self.embedded: TableOptions | None = None
        #: The sockets that systemd has opened for the service.
        self.passed: Sequence[PassedSocket] = ()
        self.find_passed: Callable[[], Sequence[PassedSocket]] = passed_sockets

    def check(self) -> list[str]:
        """Return what is wrong about the values together, a sentence each."""
        return [*self._read_embedded(), *self._take_passed(), *self._check_exposure()]

    @property
    def addresses(self) -> Sequence[str]:
        """The addresses of the daemons; the one in this process is the first."""
        if self.embedded is not None:
            return (self.embedded["socket"], *self["daemon"])
        return tuple(self["daemon"]) or (default_socket(self.environ),)

    def is_local(self, description: str) -> bool:
        """True if only this machine can reach one of the endpoints to listen on."""
        return is_local(description, self.passed)

    def _take_passed(self) -> list[str]:
        """Listen on the sockets that systemd has passed, unless --listen says where."""
        try:
            self.passed = self.find_passed()
        except StartupError as error:
            return [str(error)]
        if self.passed and "listen" not in self.sources:
            self["listen"] = descriptions_of(self.passed)
            self.sources["listen"] = "systemd"
        return []

    def _read_embedded(self) -> list[str]:
        if self["embed"] is None:
            return []
        # Only a service with a daemon in its own process has all of that in its memory.
        from rkllm_twisted.daemon.options import Options as DaemonOptions  # noqa: PLC0415

        self.embedded = DaemonOptions()
        try:
            self.embedded.parseOptions(shlex.split(self["embed"]))
        except (usage.UsageError, ValueError) as error:
            return [f"--embed: {line}" for line in str(error).splitlines()]
        return []

    def _check_exposure(self) -> list[str]:
        """Refuse to listen where others can connect without a key, unless that is said."""
        if self["api-key-file"] is not None:
            return ["--no-key and --api-key-file exclude each other."] if self["no-key"] else []
        if self["no-key"]:
            return []
        return [
            f"--listen {description} can be reached from other machines: give an --api-key-file,"
            " or --no-key if everybody there may use the models."
            for description in self["listen"]
            if not self.is_local(description)
        ]


def makeService(options: Options, reactor: Any = None) -> HTTPService:
    """Make a service that has not started.

    :param options: parsed :class:`Options`.
    :param reactor: the reactor to run on; the global one by default.
    :raises StartupError: the keys, an endpoint or a plugin cannot be used, and what to do.
    """
    if reactor is None:
        from twisted.internet import reactor  # noqa: PLC0415 - importing it would install one
    if options["no-key"]:
        for description in options["listen"]:
            if not options.is_local(description):
                _log.warn(
                    "{listen} serves everybody who can reach it, without a key (--no-key)",
                    listen=description,
                )
    daemon = None if options.embedded is None else _daemon(options.embedded, reactor)
    return service_for(options, options.addresses, find_routes(), reactor, daemon)


def _daemon(options: Any, reactor: Any) -> IService:
    from rkllm_twisted.daemon import assembly  # noqa: PLC0415 - see above

    return assembly.makeService(options, reactor)


def service_for(
    options: Options,
    addresses: Sequence[Address],
    routes: Routes,
    reactor: Any,
    daemon: IService | None = None,
) -> HTTPService:
    """Make the service for daemons.

    :param addresses: where they listen, in place of those of the options.
    :param daemon: the daemon in this process, if there is one.
    :raises StartupError: see :func:`makeService`.
    """
    keys = KeyRing(options["api-key-file"])
    trust = Trust(keys, options["cors-origin"], own_names(options["host-name"]))
    daemons = Daemons(reactor, addresses)
    metrics = _metrics(keys.is_needed)
    shown = MetricsRoute(metrics, lambda: len(resource.running))
    everything = Routes([*routes.all, shown])
    resource = APIResource(everything, trust, daemons, reactor, options["strict"])
    if metrics is not None:
        resource.on_over.append(metrics.on_exchange)
        daemons.on_run.append(metrics.on_run)
    limits = SiteLimits(options["max-body"], options["max-connections"])
    site = ServiceSite(resource, trust, reactor, limits)
    if metrics is not None:
        site.on_refused.append(metrics.on_exchange)
    endpoints = _endpoints(options["listen"], reactor)
    return HTTPService(site, resource, daemons, keys, endpoints, daemon)


def _metrics(key_names: bool) -> Metrics | None:
    """Return what counts; None without the extra ``[http]``."""
    try:
        from rkllm_twisted.http.metrics import Metrics  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    return Metrics(key_names)


def _endpoints(descriptions: Iterable[str], reactor: Any) -> Mapping[str, IStreamServerEndpoint]:
    return {one: _endpoint(one, reactor) for one in descriptions}


def _endpoint(description: str, reactor: Any) -> IStreamServerEndpoint:
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, description)
    except LookupError:
        raise StartupError(
            f"--listen {description}: systemd has passed no such socket; start the service by"
            " rkllm-http.socket, or name a port."
        ) from None
    except ImportError as error:
        raise StartupError(
            f"--listen {description} needs a package that is not installed ({error}); for ssl:"
            " pip install 'twisted[tls]' installs it."
        ) from None
    except Exception as error:  # noqa: BLE001 - parsers of plugins raise what they like
        raise StartupError(
            f"--listen {description} describes no endpoint: {error}. An example:"
            " tcp:8080:interface=127.0.0.1"
        ) from None
    return endpoint
