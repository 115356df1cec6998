"""The settings of the service as its unit starts it, for a program that looks at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.python.usage import UsageError

from rkllm_twisted.errors import StartupError
from rkllm_twisted.http_service.assembly import Options
from rkllm_twisted.http_service.exposure import passed_socket_at


def settings_of_unit(environ: Mapping[str, str], listens: Sequence[str]) -> Options:
    """Return the options that the service has under systemd.

    :param environ: the environment of the unit.
    :param listens: the addresses of its socket, as systemd writes them.
    :raises StartupError: they are wrong, and the service does not start; the text says why.
    """
    options = Options()
    options.environ = environ
    options.find_passed = lambda: [passed_socket_at(one) for one in listens]
    try:
        options.parseOptions([])
    except UsageError as error:
        raise StartupError(str(error).splitlines()[0]) from None
    return options


def open_addresses(options: Options, listens: Sequence[str]) -> tuple[str, ...]:
    """Return the addresses that other machines can reach.

    :param listens: see :func:`settings_of_unit`.
    """
    if options.sources.get("listen") == "systemd":
        reached = zip(listens, options.passed, strict=True)
        return tuple(address for address, passed in reached if not passed.is_local)
    return tuple(one for one in options["listen"] if not options.is_local(one))
