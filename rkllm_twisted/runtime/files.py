"""The files that C opens: checked before, and safe from being swapped in between.

Without directories of ``--model-dir``, C gets the names that the clients sent. With them, a file is
opened here, below one of them, and C gets ``/proc/self/fd/N``: whatever the name leads to by then,
C opens the file that was checked. What C writes goes through
:mod:`rkllm_twisted.runtime.atomic_save`.
"""

from __future__ import annotations

import errno
import os
import stat
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import attrs

from rkllm_twisted.abi.prepare import PreparedCall
from rkllm_twisted.abi.scalars import clip, param_error
from rkllm_twisted.abi.to_c import FileParameter
from rkllm_twisted.errors import LibraryError, NotAllowed
from rkllm_twisted.runtime import openat2
from rkllm_twisted.runtime.atomic_save import saved_at

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class Descriptor:
    """An open file, closed when the last reference to this object goes."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        weakref.finalize(self, os.close, fd)

    @property
    def path(self) -> str:
        """The name by which this process can open it again."""
        return f"/proc/self/fd/{self.fd}"


@attrs.frozen
class Root:
    """A directory of ``--model-dir``.

    :param names: how it may be written: as in the options, and with all links resolved.
    """

    names: tuple[str, ...]
    directory: Descriptor

    @classmethod
    def at(cls, name: str, option: str = "--model-dir") -> Root:
        """Open a directory.

        :param option: the option that names it.
        :raises LibraryError: there is none.
        """
        path = Path(name).absolute()
        try:
            fd = os.open(path, _DIRECTORY)
        except OSError as error:
            raise LibraryError(f"{option} {name}: {error.strerror}.") from None
        return cls((str(path), str(path.resolve())), Descriptor(fd))

    def below(self, name: str) -> str | None:
        """The rest of an absolute name that begins with the directory's; ``..`` stays as it is."""
        for own in self.names:
            start = own.rstrip("/") + "/"
            if name.startswith(start):
                return name[len(start) :].lstrip("/") or "."
        return None


class Files:
    """The files that C may open.

    :param directories: every name must lead into one of them; none: any name is allowed.
    :param note: called with a sentence that has the client's name of a file and the one for C.
    :param opener: see :mod:`rkllm_twisted.runtime.openat2`.
    :param cache_dir: one more directory, for prompt caches only; None if there is none.
    """

    def __init__(
        self,
        directories: Sequence[str] = (),
        note: Callable[[str], object] = lambda _: None,
        opener: openat2.Opener | None = None,
        cache_dir: str | None = None,
    ) -> None:
        self._roots = [Root.at(name) for name in directories]
        self._cache_roots = [] if cache_dir is None else [Root.at(cache_dir, "--cache-dir")]
        self._note = note
        self._open = opener or openat2.opener()

    def check(self, files: Iterable[FileParameter]) -> None:
        """Check that C will find regular, readable files: it may exit or hang over anything else.

        :raises InvalidParams: naming the parameter, e.g. ``param.model_path``.
        :raises NotAllowed: a name leads out of the directories.
        """
        for file in files:
            if file.exists:
                self._readable(file)
            else:
                self._writable(file)

    def read(self, file: FileParameter, limit: int) -> bytes:
        """Return at most so many bytes of a file that a client names.

        :raises InvalidParams, NotAllowed: see :meth:`check`.
        """
        descriptor = self._readable(file)
        with _refusing(file), Path(descriptor.path if descriptor else file.name).open("rb") as it:
            return it.read(limit)

    def found(self, file: FileParameter) -> Descriptor | None:
        """Find one file that must exist, for a library that is not RKLLM's.

        :returns: the opened file; None without directories: then its own name will do.
        :raises InvalidParams, NotAllowed: see :meth:`check`.
        """
        return self._readable(file)

    @contextmanager
    def opened(
        self, prepared: PreparedCall, on_saved: Callable[[bool], object] = bool
    ) -> Iterator[PreparedCall]:
        """Yield the same call with names that cannot be swapped.

        An opened file stays open as long as the call: for rkllm_init as long as the model, which
        reads its file during runs with ``embed_flash``.

        :param on_saved: called for each file that C was to write: True if it has written it.
        :raises InvalidParams, NotAllowed: see :meth:`check`.
        """
        with ExitStack() as stack:
            call = prepared
            for file in prepared.files:
                if file.exists:
                    descriptor = self._readable(file)
                    if descriptor is not None:
                        self._note(f"{file.path}: {file.name!r} is opened as {descriptor.path}")
                        call = _placed(call, file, descriptor.path, descriptor)
                else:
                    directory, name = self._writable(file)
                    reported = partial(self._report_saved, file, on_saved)
                    path = stack.enter_context(saved_at(directory.fd, name, file, reported))
                    call = _placed(call, file, path, directory)
            yield call

    def _report_saved(
        self, file: FileParameter, on_saved: Callable[[bool], object], saved: bool
    ) -> None:
        if not saved:
            self._note(
                f"W rkllm_twisted: {clip(file.name)} was not saved: the runtime wrote nothing; a"
                " file of that name is the old one"
            )
        on_saved(saved)

    def _readable(self, file: FileParameter) -> Descriptor | None:
        """Check that a file can be read; with directories, open it."""
        if not self._roots:
            with _refusing(file):
                _check_regular(file, Path(file.name).stat().st_mode)
            if not os.access(file.name, os.R_OK):
                raise param_error(file.path, f"{clip(file.name)} may not be read")
            return None
        # Checked before it is opened: opening a device or a pipe may have an effect.
        found = self._below(file, file.name, os.O_PATH)
        _check_regular(file, os.fstat(found.fd).st_mode)
        with _refusing(file):
            return Descriptor(os.open(found.path, os.O_RDONLY | os.O_CLOEXEC))

    def _writable(self, file: FileParameter) -> tuple[Descriptor, str]:
        """Return the directory that a file is written to, and its name there."""
        parent, _, name = file.name.rpartition("/")
        if name in ("", ".", ".."):
            raise param_error(file.path, f"{clip(file.name)} is the name of a directory")
        where = (parent or "/") if "/" in file.name else "."
        if self._roots:
            directory = self._below(file, where, _DIRECTORY)
        else:
            with _refusing(file):
                directory = Descriptor(os.open(where, _DIRECTORY))
        with _refusing(file):
            try:
                mode = os.stat(name, dir_fd=directory.fd, follow_symlinks=False).st_mode
            except FileNotFoundError:
                return directory, name
        if not stat.S_ISLNK(mode):  # a link is replaced, not followed
            _check_regular(file, mode)
        return directory, name

    def _below(self, file: FileParameter, name: str, flags: int) -> Descriptor:
        with _refusing(file):  # the working directory may have been removed
            # Not normalised: what .. means depends on the links before it.
            absolute = name if name.startswith("/") else f"{Path.cwd()}/{name}"
        is_cache = file.path.rpartition(".")[2] == "prompt_cache_path"
        for root in self._roots + (self._cache_roots if is_cache else []):
            rest = root.below(f"{absolute}/" if absolute in root.names else absolute)
            if rest is None:
                continue
            try:
                return Descriptor(self._open(root.directory.fd, rest, flags))
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise param_error(file.path, f"{clip(file.name)}: {error.strerror}") from None
        names = ", ".join(root.names[0] for root in self._roots)
        raise NotAllowed(
            f"{file.path}: {clip(file.name)} is not in a directory of --model-dir ({names}).",
            {"parameter": file.path},
        )


def _check_regular(file: FileParameter, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise param_error(file.path, f"{clip(file.name)} is not a regular file")


@contextmanager
def _refusing(file: FileParameter) -> Iterator[None]:
    """Turn an error of the system about a file into one about the parameter."""
    try:
        yield
    except OSError as error:
        raise param_error(file.path, f"{clip(file.name)}: {error.strerror}") from None


def _placed(call: PreparedCall, file: FileParameter, path: str, keep: object) -> PreparedCall:
    """Replace the client's name by a path through a descriptor."""
    text = os.fsencode(path)
    call = attrs.evolve(
        call,
        alive=(*call.alive, keep, text),
        descriptors=(*call.descriptors, int(path.split("/")[4])),
    )
    if file.holder is None:
        return attrs.evolve(call, arguments={**call.arguments, file.path: text})
    setattr(file.holder, file.path.rpartition(".")[2], text)
    return call
