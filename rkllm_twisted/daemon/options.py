"""What ``twistd rkllm`` takes on its command line and from the environment, as one table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from twisted.python import usage

from rkllm_twisted.daemon import config
from rkllm_twisted.daemon.coercions import (
    directory,
    group,
    octal,
    one_of,
    oom_score,
    positive,
    processors,
    seconds,
    size,
    switch,
    user,
)
from rkllm_twisted.daemon.log_formats import FORMATS, LEVELS
from rkllm_twisted.daemon.setting import Setting
from rkllm_twisted.npu.history import HISTORIES

SETTINGS: Mapping[str, Setting] = {
    "config": Setting(
        None, "A TOML file with settings, see etc/rkllm.toml.", in_file=False, otherwise="none"
    ),
    "check": Setting(
        "no",
        "Check everything, say what the daemon would do, and do nothing.",
        parse=switch,
        in_file=False,
    ),
    "socket": Setting("/tmp/rkllm.sock", "Path of the socket.", "RKLLM_UDS_PATH", short="s"),
    "mode": Setting("0600", "Permission bits of the socket, octal.", parse=octal),
    "owner": Setting(
        None, "User to give the socket to.", parse=user, otherwise="whoever starts the daemon"
    ),
    "group": Setting(
        None, "Group to give the socket to.", parse=group, otherwise="whoever starts the daemon's"
    ),
    "library": Setting(
        None,
        "librkllmrt.so's path, or 'cpu' for the embedded runtime.",
        variable="RKLLM_LIBRARY",
        otherwise="the loader's path",
        short="l",
    ),
    "abi": Setting(
        None,
        "The runtime's release, where it does not say it itself: 1.3.0 …",
        otherwise="what it says of itself",
    ),
    "history": Setting(
        "shared",
        "Whose runs a run reads on from: 'shared', everybody's, as the library does it;"
        " 'connection', those of its own connection, until another one's run comes in between.",
        parse=one_of(HISTORIES),
    ),
    "isolation": Setting(
        "process",
        "Where the runtime lives: 'process', a child whose crash costs the calls under way and no"
        " more; 'thread', this process, for embedding.",
        parse=one_of({"process": None, "thread": None}),
    ),
    "init-timeout": Setting(
        None,
        "Seconds that loading a model may take.",
        parse=seconds,
        otherwise="30, and 45 for each GiB of the model's file",
    ),
    "first-token-timeout": Setting(
        "300", "Seconds until a run's first token must have come.", parse=seconds
    ),
    "token-timeout": Setting("60", "Seconds until each further token.", parse=seconds),
    "child-cpus": Setting(
        None, "Processors for the runtime's process: 4-7 or 0,2.", parse=processors, otherwise="all"
    ),
    "child-oom-score": Setting(
        None, "oom_score_adj of the runtime's process.", parse=oom_score, otherwise="the daemon's"
    ),
    "native-async": Setting(
        "no",
        "Let rkllm.run_async use C's own rkllm_run_async, which fails on many releases.",
        parse=switch,
    ),
    "model-dir": Setting(
        None,
        "A directory that models, adapters and prompt caches must be in; repeat it for more.",
        parse=directory,
        otherwise="any file that the daemon may open",
        separator=":",
    ),
    "allow-uid": Setting(
        None,
        "Let this user connect, by name or number; repeat it for more.",
        parse=user,
        otherwise="everybody who may open the socket",
        separator=",",
    ),
    "allow-gid": Setting(
        None,
        "Let the members of this group connect; repeat it for more.",
        parse=group,
        otherwise="everybody who may open the socket",
        separator=",",
    ),
    "admin-uid": Setting(
        None,
        "Let this user load models and what else concerns everybody; the others then only"
        " run. Repeat it for more.",
        parse=user,
        otherwise="everybody who is connected",
        separator=",",
    ),
    "admin-gid": Setting(
        None,
        "The same for the members of this group.",
        parse=group,
        otherwise="everybody who is connected",
        separator=",",
    ),
    "max-clients": Setting(
        "100", "How many may be connected at once.", "RKLLM_MAX_CLIENTS", positive
    ),
    "max-requests": Setting("8", "Requests under way for one connection.", parse=positive),
    "queue": Setting("64", "Calls that may wait for the NPU, of all clients.", parse=positive),
    "max-message": Setting("64M", "Bytes that one message from a client may have.", parse=size),
    "max-unparsed": Setting(
        "256M", "Bytes of unfinished messages held for all clients together.", parse=size
    ),
    "max-unread": Setting("1M", "Bytes held for a client that does not read.", parse=size),
    "unread-timeout": Setting(
        "30", "Seconds after which a client that reads nothing is dropped.", parse=seconds
    ),
    "log-format": Setting(
        "text",
        "What the log looks like: 'text', for people; 'json', an object in each line; 'journald',"
        " with levels as the journal reads them.",
        parse=one_of(FORMATS),
    ),
    "log-level": Setting(
        "info",
        "From which level on events are in the log: debug, info, warn or error.",
        "RKLLM_DAEMON_LOG_LEVEL",  # RKLLM_LOG_LEVEL is the library's own
        one_of({level: None for level in LEVELS if level != "critical"}),
    ),
    "log-prompts": Setting("no", "Log what prompts say, too.", parse=switch),
}


class Options(usage.Options):
    """What ``twistd rkllm`` takes."""

    synopsis = "[options]"
    longdesc = (
        "Serves Rockchip's RKLLM runtime (librkllmrt.so) as JSON-RPC 2.0 on a UNIX socket. On a"
        " machine without an NPU, --library cpu runs the embedded runtime on the processor."
    )
    optParameters: ClassVar[list[list[Any]]] = [
        setting.parameter(name)
        for name, setting in SETTINGS.items()
        if not setting.is_flag and not setting.separator
    ]
    optFlags: ClassVar[list[list[Any]]] = [
        setting.parameter(name) for name, setting in SETTINGS.items() if setting.is_flag
    ]

    def __init__(self) -> None:
        super().__init__()
        #: Where the value of each setting comes from; what has its default is not there.
        self.sources: dict[str, str] = {}
        self._file: Mapping[str, Sequence[str]] = {}

    def postOptions(self) -> None:
        """Check the values, and fill in what comes from the environment and from the file.

        :raises usage.UsageError: a value is not usable.
        """
        self._fill_in("config")
        if self["config"] is not None:
            self._file = config.read(self["config"], SETTINGS)
        for name in SETTINGS:
            if name != "config":
                self._fill_in(name)
        if self["max-unparsed"] < self["max-message"]:
            raise usage.UsageError(
                "--max-unparsed must not be less than --max-message: no message of that size could"
                " come in."
            )

    def _fill_in(self, name: str) -> None:
        setting = SETTINGS[name]
        for source, texts in self._given(name, setting):
            if texts is not None:
                self.sources[name] = source
                self[name] = setting.value(source, texts)
                return
        self[name] = setting.value("", [] if setting.default is None else [setting.default])

    def _given(self, name: str, setting: Setting) -> Iterator[tuple[str, Sequence[str] | None]]:
        """Where a setting's value may come from, and the texts that stand for it there, if any."""
        yield f"--{name}", setting.from_command_line(self.get(name))
        variable = setting.variable_of(name)
        yield variable, setting.from_environment(os.environ.get(variable))
        yield f"{name} in {self.get('config')}", self._file.get(name)


def _collecting(name: str, setting: Setting) -> Callable[[Options, str], None]:
    """Make the method by which :class:`usage.Options` takes an option several times."""

    def take(self: Options, value: str) -> None:
        self.setdefault(name, []).append(value)

    take.__doc__ = setting.meaning
    return take


for _name, _setting in SETTINGS.items():
    if _setting.separator:
        setattr(Options, f"opt_{_name.replace('-', '_')}", _collecting(_name, _setting))
