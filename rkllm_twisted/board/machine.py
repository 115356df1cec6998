"""Reads the facts that do not change while a model runs, into a :class:`Machine`.

Sources: proc(5), group(5), and ``docs/runtime.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import attrs

from rkllm_twisted.board.npu import (
    DRIVER_VERSION,
    ROCKET,
    DriverVersion,
    driver_version,
    governors,
    npu_nodes,
)
from rkllm_twisted.board.sensors import celsius, kibibytes, process_tree
from rkllm_twisted.board.sysfs import RootedFiles
from rkllm_twisted.values import RuntimeVersion

#: Present in a container: Docker's, Podman's, systemd-nspawn's or LXC's, a Kubernetes pod's.
CONTAINER = (
    ".dockerenv",
    "run/.containerenv",
    "run/systemd/container",
    "var/run/secrets/kubernetes.io",
    "run/secrets/kubernetes.io",
)
#: Mounts that a container's runtime makes of its own files, and words in their lines of mountinfo.
#: The host has such mounts at other places.
CONTAINER_MOUNTS = frozenset({"/", "/etc/hosts"})
_CONTAINER_RUNTIME = re.compile(r"kubelet|containerd|crio|docker|containers/storage|libpod|/lxc/")
_OPEN_FILES = re.compile(r"^Max open files\s+(\w+)\s+(\w+)", re.MULTILINE)
_IDS = re.compile(r"^(Uid|Gid|Groups):[ \t]*(.*)$", re.MULTILINE)


@attrs.frozen
class Account:
    """The account that opens the NPU: the daemon's, or the caller's if no daemon answers.

    :param name: its name for ``usermod``.
    """

    uid: int
    gids: frozenset[int]
    name: str


@attrs.frozen
class Node:
    """A device file or a socket, and its permissions.

    :param group: the name of its group.
    """

    path: str
    mode: int
    uid: int
    gid: int
    group: str

    def lets_in(self, account: Account) -> bool:
        """True if the account may read and write it. Access lists (logind's) are ignored."""
        if account.uid == 0:
            return True
        if account.uid == self.uid:
            return self.mode & 0o600 == 0o600
        if self.gid in account.gids:
            return self.mode & 0o060 == 0o060
        return self.mode & 0o006 == 0o006


@attrs.frozen
class Model:
    """A model's file.

    :param size: bytes; None if it cannot be read.
    :param loaded: True if the daemon has loaded it.
    """

    path: str
    size: int | None
    loaded: bool


@attrs.frozen
class Daemon:
    """The daemon's answers.

    :param problem: why it does not answer, in one sentence.
    :param remedy: the advice for that problem.
    :param version: the answer to ``server.version``.
    :param status: the answer to ``server.status``.
    """

    socket: str
    problem: str | None = None
    remedy: str | None = None
    version: Mapping[str, object] = attrs.field(factory=dict)
    status: Mapping[str, object] = attrs.field(factory=dict)

    @property
    def pid(self) -> int | None:
        """The daemon's process id; None if it does not answer."""
        pid = self.status.get("pid")
        return pid if isinstance(pid, int) else None


@attrs.frozen
class Machine:
    """Everything that :mod:`rkllm_twisted.board.checks` examines.

    :param architecture: the output of ``uname -m``.
    :param compatible: the device tree's names, e.g. ``rockchip,rk3588``; empty if there is none.
    :param driver: the rknpu driver's version.
    :param driver_forbidden: True if only root may read the driver's version.
    :param nodes: the device files of the NPU.
    :param heaps: the nodes below ``/dev/dma_heap``.
    :param node_is_link: True if ``/dev/rknpu`` is a symbolic link.
    :param open_files: the limit that the runtime has, or can get.
    :param governors: a file that names a governor -> the governor.
    :param runtime: the library that the daemon has or would open, or why there is none.
    :param library_is_named: True if the user has named the library.
    """

    architecture: str
    compatible: tuple[str, ...]
    in_container: bool
    driver: DriverVersion | None
    driver_forbidden: bool
    has_rocket: bool
    nodes: tuple[Node, ...]
    heaps: tuple[Node, ...]
    node_is_link: bool
    open_files: int | None
    memory_available: int | None
    celsius: float | None
    governors: Mapping[str, str]
    account: Account
    runtime: RuntimeVersion | str
    daemon: Daemon
    socket: Node | None
    model: Model | None
    library_is_named: bool

    @property
    def needs_npu(self) -> bool:
        """True if the library is Rockchip's, or none was found."""
        return isinstance(self.runtime, str) or not self.runtime.backend.startswith(
            ("cpu", "llama")
        )


def look_at_machine(
    files: RootedFiles,
    account: Account,
    runtime: RuntimeVersion | str,
    daemon: Daemon,
    model: str | None = None,
    architecture: str = "aarch64",
    library_is_named: bool = False,
) -> Machine:
    """Read a machine.

    :param account: the caller's; if the daemon answers, its account is used instead.
    :param runtime: see :class:`Machine`.
    :param model: the file of a model to load.
    """
    return Machine(
        architecture=architecture,
        compatible=tuple(
            filter(None, (files.text("proc/device-tree/compatible") or "").split("\0"))
        ),
        in_container=is_container(files),
        driver=driver_version(files),
        driver_forbidden=any(map(files.is_forbidden, DRIVER_VERSION)),
        has_rocket=any(map(files.exists, ROCKET)),
        nodes=nodes_of(files, npu_nodes(files)),
        heaps=nodes_of(files, files.glob("dev/dma_heap/system*")),
        node_is_link=files.is_link("dev/rknpu"),
        open_files=open_files(files, daemon.pid),
        memory_available=kibibytes(files.text("proc/meminfo")).get("MemAvailable"),
        celsius=celsius(files),
        governors=governors(files),
        account=account if daemon.pid is None else owner(files, daemon.pid, account),
        runtime=runtime,
        daemon=daemon,
        socket=next(iter(nodes_of(files, [daemon.socket.lstrip("/")])), None),
        model=model_of(files, model, daemon),
        library_is_named=library_is_named,
    )


def is_container(files: RootedFiles) -> bool:
    """True in a container, a Kubernetes pod among them, which has no file that says so."""
    if any(map(files.exists, CONTAINER)):
        return True
    mounts = (files.text("proc/self/mountinfo") or "").splitlines()
    own = [line for line in mounts if CONTAINER_MOUNTS.intersection(line.split()[4:5])]
    return any(map(_CONTAINER_RUNTIME.search, own))


def nodes_of(files: RootedFiles, names: Sequence[str]) -> tuple[Node, ...]:
    """Return owner and mode of the files that exist."""
    groups = group_names(files)
    return tuple(
        Node(f"/{name}", stat.st_mode, stat.st_uid, stat.st_gid, groups.get(stat.st_gid, ""))
        for name in names
        if (stat := files.stat(name)) is not None
    )


def group_names(files: RootedFiles) -> Mapping[int, str]:
    """Return the names of groups, by number."""
    rows = (line.split(":") for line in (files.text("etc/group") or "").splitlines())
    return {int(row[2]): row[0] for row in rows if len(row) > 2 and row[2].isdigit()}


def open_files(files: RootedFiles, pid: int | None) -> int | None:
    """Return the number of files that the runtime's process, or a child of this one, may open.

    It is the hard limit, since the daemon's child raises its soft limit to it.
    """
    process = "self" if pid is None else list(process_tree(files, pid))[-1]
    found = _OPEN_FILES.search(files.text(f"proc/{process}/limits") or "")
    if found is None:
        return None
    limit = found[2]
    return 2**31 if limit == "unlimited" else int(limit)


def owner(files: RootedFiles, pid: int, otherwise: Account) -> Account:
    """Return the account of a process.

    :param otherwise: returned if the process cannot be read.
    """
    ids = {
        name: text.split() for name, text in _IDS.findall(files.text(f"proc/{pid}/status") or "")
    }
    if not ids.get("Uid"):
        return otherwise
    uid = int(ids["Uid"][1])
    gids = frozenset(map(int, ids.get("Groups", []) + ids.get("Gid", [])[1:2]))
    rows = (line.split(":") for line in (files.text("etc/passwd") or "").splitlines())
    names = {row[2]: row[0] for row in rows if len(row) > 2}
    return Account(uid, gids, names.get(str(uid), str(uid)))


def model_of(files: RootedFiles, path: str | None, daemon: Daemon) -> Model | None:
    """Return the model to load, or else the one that the daemon has loaded."""
    held = daemon.status.get("model_path")
    if path is None and not isinstance(held, str):
        return None
    name = path or str(held)
    stat = files.stat(name.lstrip("/"))
    return Model(name, None if stat is None else stat.st_size, path is None or path == held)
