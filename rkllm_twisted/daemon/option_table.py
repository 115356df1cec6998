"""The table of the options of ``twistd rkllm``: a row for each."""

from __future__ import annotations

from collections.abc import Mapping

from rkllm_twisted.daemon.coercions import (
    assignment,
    device_names,
    directory,
    from_zero,
    group,
    octal,
    one_of,
    oom_score,
    positive,
    processors,
    seconds,
    size,
    size_text,
    socket_path,
    switch,
    user,
)
from rkllm_twisted.daemon.log_formats import FORMATS, LEVELS
from rkllm_twisted.daemon.settings import Setting
from rkllm_twisted.npu.history import HISTORIES
from rkllm_twisted.npu.queue import QUEUE_LIMIT
from rkllm_twisted.npu.timeouts import Timeouts
from rkllm_twisted.rpc.limits import Limits
from rkllm_twisted.wire.socket_path import DEFAULT_SOCKET

_LIMITS = Limits()
_TIMEOUTS = Timeouts()

SETTINGS: Mapping[str, Setting] = {
    "config": Setting(
        None, "A TOML file with settings, see etc/rkllm.toml.", in_file=False, otherwise="none"
    ),
    "check": Setting(
        "no",
        "Check everything, print what the daemon would do, and exit.",
        parse=switch,
        in_file=False,
    ),
    "socket": Setting(
        DEFAULT_SOCKET, "Path of the socket.", "RKLLM_UDS_PATH", socket_path, short="s"
    ),
    "mode": Setting("0600", "Permission bits of the socket, octal.", parse=octal),
    "owner": Setting(
        None, "User to give the socket to.", parse=user, otherwise="the one that starts the daemon"
    ),
    "group": Setting(
        None,
        "Group to give the socket to.",
        parse=group,
        otherwise="that of the user that starts the daemon",
    ),
    "library": Setting(
        None,
        "librkllmrt.so's path, or 'cpu' or 'llama' for an embedded runtime: by itself, or with an"
        " installed llama.cpp.",
        variable="RKLLM_LIBRARY",
        otherwise="the loader's path",
        short="l",
    ),
    "llama": Setting(
        None,
        "For --library llama: the path of llama.cpp's libllama.so, or its folder.",
        variable="RKLLM_LLAMA_LIBRARY",
        otherwise="where 'rkllm llama install' puts it, then the loader's path",
    ),
    "llama-devices": Setting(
        None,
        "For --library llama: the devices that llama.cpp may use, with commas between them, or"
        " 'none' for the processor alone.",
        parse=device_names,
        otherwise="llama.cpp decides",
    ),
    "llama-gpu-layers": Setting(
        None,
        "For --library llama: how many of a model's layers those devices get.",
        parse=from_zero,
        otherwise="llama.cpp decides",
    ),
    "abi": Setting(
        None,
        "The runtime's release, if the library does not say it: 1.3.0 …",
        otherwise="what the library says",
    ),
    "history": Setting(
        "shared",
        "The history that a run continues: 'shared', that of all clients, as in the library;"
        " 'connection', that of its own connection, until a run of another one comes between.",
        parse=one_of(HISTORIES),
    ),
    "isolation": Setting(
        "process",
        "Where the runtime runs: 'process', a child, so that a crash costs only the calls under"
        " way; 'thread', the daemon's own process, for embedding.",
        parse=one_of({"process": None, "thread": None}),
    ),
    "init-timeout": Setting(
        None,
        "Seconds that loading a model may take.",
        parse=seconds,
        otherwise="30, and 45 for each GiB of the model's file",
    ),
    "first-token-timeout": Setting(
        f"{_TIMEOUTS.first_token:g}",
        "Seconds until a run's first token must have come.",
        parse=seconds,
    ),
    "token-timeout": Setting(
        f"{_TIMEOUTS.token:g}", "Seconds until each further token.", parse=seconds
    ),
    "runtime-host": Setting(
        "auto",
        "The program of the runtime's process: 'c'; 'python', which takes more memory and time;"
        " 'auto', the one in C where it can run.",
        parse=one_of({"auto": None, "c": None, "python": None}),
    ),
    "child-cpus": Setting(
        None, "Processors for the runtime's process: 4-7 or 0,2.", parse=processors, otherwise="all"
    ),
    "child-oom-score": Setting(
        None, "oom_score_adj of the runtime's process.", parse=oom_score, otherwise="the daemon's"
    ),
    "native-async": Setting(
        "no",
        "Use C's own rkllm_run_async for rkllm.run_async; it fails on many releases.",
        parse=switch,
    ),
    "model-dir": Setting(
        None,
        "A directory that models, adapters and prompt caches must be in; repeat it for more.",
        parse=directory,
        otherwise="any file that the daemon may open",
        separator=":",
    ),
    "model": Setting(
        None,
        "A model to load at start, and again after a crash: its path, or its name in --model-dir.",
        otherwise="none: clients load one",
    ),
    "model-param": Setting(
        None,
        "A field of RKLLMParam for --model, such as max_context_len=4096 or"
        " extend_param.base_domain_id=1; repeat it for more.",
        parse=assignment,
        otherwise="the library's defaults",
        separator=";",
    ),
    "keep-alive": Setting(
        None,
        "Seconds after which a model that no client uses is unloaded, however it was loaded.",
        parse=seconds,
        otherwise="never",
    ),
    "encoder": Setting(
        None,
        "A vision encoder to load at start, before the model, and again after a crash: its path.",
        otherwise="none: clients load one with vision.load",
    ),
    "vision-library": Setting(
        None,
        "librknnrt.so's path, for vision encoders; or 'scripted', a library that makes its rows"
        " up.",
        otherwise="the loader's path",
    ),
    "cache-dir": Setting(
        None,
        "A directory for long prompts that come back: chat saves them there and restores them,"
        " where that is measured to be faster than reading them.",
        parse=directory,
        otherwise="none are saved",
    ),
    "cache-bytes": Setting("1G", "Bytes of all files that chat keeps in --cache-dir.", parse=size),
    "allow-uid": Setting(
        None,
        "A user that may connect, by name or number; repeat it for more.",
        parse=user,
        otherwise="every user that may open the socket",
        separator=",",
    ),
    "allow-gid": Setting(
        None,
        "A group that may connect, by name or number; repeat it for more.",
        parse=group,
        otherwise="every user that may open the socket",
        separator=",",
    ),
    "admin-uid": Setting(
        None,
        "A user that may load models and change what concerns all clients; other clients then"
        " only run. Repeat it for more.",
        parse=user,
        otherwise="every client",
        separator=",",
    ),
    "admin-gid": Setting(
        None,
        "A group whose members may do the same; repeat it for more.",
        parse=group,
        otherwise="every client",
        separator=",",
    ),
    "max-clients": Setting(
        "100", "Connections that may be open at once.", "RKLLM_MAX_CLIENTS", positive
    ),
    "max-clients-per-user": Setting(
        None, "The same, of one user.", parse=positive, otherwise="as many as --max-clients"
    ),
    "max-requests": Setting(
        str(_LIMITS.max_requests), "Requests under way for one connection.", parse=positive
    ),
    "queue": Setting(
        str(QUEUE_LIMIT), "Calls that may wait for the NPU, of all clients.", parse=positive
    ),
    "max-message": Setting(
        size_text(_LIMITS.max_length), "Bytes that one message from a client may have.", parse=size
    ),
    "max-unparsed": Setting(
        size_text(_LIMITS.max_unparsed),
        "Bytes of unfinished messages held for all clients together.",
        parse=size,
    ),
    "message-timeout": Setting(
        f"{_LIMITS.message_timeout:g}",
        "Seconds from a message's first byte to its last.",
        None,
        seconds,
    ),
    "max-unread": Setting(
        size_text(_LIMITS.max_unread), "Bytes held for a client that does not read.", parse=size
    ),
    "max-unread-total": Setting(
        size_text(_LIMITS.max_unread_total), "Bytes held for all clients together.", parse=size
    ),
    "unread-timeout": Setting(
        f"{_LIMITS.unread_timeout:g}",
        "Seconds after which a client that reads nothing is dropped.",
        parse=seconds,
    ),
    "log-format": Setting(
        "text",
        "The form of the log: 'text', for people; 'json', an object in each line; 'journald',"
        " with the levels that the journal reads.",
        parse=one_of(FORMATS),
    ),
    "log-level": Setting(
        "info",
        "The lowest level of events in the log: debug, info, warn or error.",
        "RKLLM_DAEMON_LOG_LEVEL",  # RKLLM_LOG_LEVEL is the library's own
        one_of({level: None for level in LEVELS if level != "critical"}),
    ),
    "log-prompts": Setting("no", "Log the text of prompts, too.", parse=switch),
}
