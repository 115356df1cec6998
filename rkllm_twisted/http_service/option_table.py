"""The table of the options of ``twistd rkllm-http``: a row for each."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rkllm_twisted.daemon.coercions import must_be, one_of, positive, size, size_text, switch
from rkllm_twisted.daemon.log_formats import FORMATS, LEVELS
from rkllm_twisted.daemon.settings import Setting
from rkllm_twisted.http.site import SiteLimits
from rkllm_twisted.wire.socket_path import DEFAULT_SOCKET

_LIMITS = SiteLimits()
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#*\s]+", re.ASCII | re.IGNORECASE)


@must_be("the origin of a page, such as https://chat.example, without a path; never *")
def origin(text: str) -> str:
    """Read an origin."""
    if not _ORIGIN.fullmatch(text):
        raise ValueError
    return text.lower()


@must_be("a description of a daemon's endpoint: the path of its socket, or unix:PATH")
def daemon(text: str) -> str:
    """Read a daemon's address."""
    if not text:
        raise ValueError
    return text


SETTINGS: Mapping[str, Setting] = {
    "config": Setting(
        None,
        "A TOML file with settings, see etc/rkllm-http.toml.",
        "RKLLM_HTTP_CONFIG",
        in_file=False,
        otherwise="none",
    ),
    "check": Setting(
        "no",
        "Check everything, print what the service would do, and exit.",
        "RKLLM_HTTP_CHECK",
        switch,
        in_file=False,
    ),
    "daemon": Setting(
        None,
        "The socket of a daemon; repeat it for more. The models of all are in one list.",
        "RKLLM_HTTP_DAEMON",
        daemon,
        otherwise=f"$RKLLM_UDS_PATH, else {DEFAULT_SOCKET}; with --embed the one in this process",
        short="d",
        separator=",",
    ),
    "embed": Setting(
        None,
        "Run a daemon in this process, too: its options as one text, such as '--library cpu --model"
        " demo.gguf'. Its socket serves other programs as ever.",
        "RKLLM_HTTP_EMBED",
        otherwise="the daemons of --daemon only",
    ),
    "listen": Setting(
        "tcp:8080:interface=127.0.0.1",
        "Where to listen, as a description of a Twisted endpoint (tcp:, ssl:, unix:, systemd:);"
        " repeat it for more. Sockets that systemd passes are listened on without it.",
        "RKLLM_HTTP_LISTEN",
        short="l",
        separator=",",
    ),
    "api-key-file": Setting(
        None,
        "A file with the API keys, one in a line, or NAME: KEY. It is read again on SIGHUP.",
        "RKLLM_HTTP_API_KEY_FILE",
        otherwise="no key is needed",
    ),
    "no-key": Setting(
        "no",
        "Listen on other interfaces than this machine's own without any key: everybody who can"
        " reach them may then use the models.",
        "RKLLM_HTTP_NO_KEY",
        switch,
    ),
    "cors-origin": Setting(
        None,
        "An origin whose pages may use the service from a browser; repeat it for more.",
        "RKLLM_HTTP_CORS_ORIGIN",
        origin,
        otherwise="pages of this service only",
        separator=",",
    ),
    "host-name": Setting(
        None,
        "A further name of this machine, which requests without a key may have in the header Host;"
        " repeat it for more.",
        "RKLLM_HTTP_HOST_NAME",
        str.lower,
        otherwise="addresses, localhost, *.local and the machine's own name",
        separator=",",
    ),
    "strict": Setting(
        "no",
        "Refuse a request that asks for what RKLLM cannot do, such as a seed, instead of naming it"
        " in the header X-RKLLM-Ignored.",
        "RKLLM_HTTP_STRICT",
        switch,
    ),
    "max-body": Setting(
        size_text(_LIMITS.body),
        "Bytes that the body of one request may have.",
        "RKLLM_HTTP_MAX_BODY",
        size,
    ),
    "max-connections": Setting(
        str(_LIMITS.connections),
        "Connections that may be open at once.",
        "RKLLM_HTTP_MAX_CONNECTIONS",
        positive,
    ),
    "log-format": Setting(
        "text",
        "The form of the log: 'text', for people; 'json', an object in each line; 'journald',"
        " with the levels that the journal reads.",
        "RKLLM_HTTP_LOG_FORMAT",
        one_of(FORMATS),
    ),
    "log-level": Setting(
        "info",
        "The lowest level of events in the log: debug, info, warn or error.",
        "RKLLM_HTTP_LOG_LEVEL",
        one_of({level: None for level in LEVELS if level != "critical"}),
    ),
}
