"""Recognises the kind of a file by its first bytes and its size, not by its name.

A failed download leaves a file with a model's name: an error page of a web server, a pointer of Git
LFS, half of the bytes. For those the runtime only returns -1.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence

import attrs

from rkllm_twisted.formats import gguf, rkllm
from rkllm_twisted.formats.reading import EndsEarly, ReadAt

#: The bytes at the start that identify most kinds.
HEAD_BYTES = 4096
#: The most bytes of a safetensors header, by its specification.
_MAX_SAFETENSORS_HEADER = 100_000_000
#: The bytes of it that are read here; models of 100,000 tensors have fewer.
_READ_OF_SAFETENSORS = 1 << 24

_AGAIN = "download it again"
_CONVERT = "convert the model with rkllm-toolkit, and give the .rkllm file"


@attrs.frozen
class FileKind:
    """The kind of a file.

    :param name: ``rkllm``, ``gguf`` and ``script`` are models. The others: ``adapter``,
        ``projector``, ``part``, ``safetensors``, ``truncated``, ``damaged``, ``unknown``, and those
        of :data:`KINDS`.
    :param words: the same with its article, e.g. ``a Git LFS pointer``.
    :param remedy: the way to get a model; None for a model, and for an unknown file.
    :param header: the header of a GGUF file, unless it is damaged.
    :param toolkit: the release of rkllm-toolkit that made a .rkllm file, if the file names it.
    """

    name: str
    words: str
    remedy: str | None = None
    header: gguf.GGUFHeader | None = attrs.field(default=None, repr=False)
    toolkit: str | None = None

    @property
    def problem(self) -> str | None:
        """Why no runtime can load it, in words that follow the file's name; None if one may."""
        return self.remedy and f"is {self.words}; {self.remedy}"


@attrs.frozen
class _KindRow:
    name: str
    words: str
    fits: Callable[[bytes], bool]
    remedy: str | None


def _begins(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(starts)


def _is_page(head: bytes) -> bool:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:14].lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<!--"))


def _is_json(head: bytes) -> bool:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return start[:1] in (b"{", b"[") and _is_text(head)


def _is_text(head: bytes) -> bool:
    try:
        text = head[:HEAD_BYTES].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end < len(head) - 3:  # else the end of the read bytes cuts a character
            return False
        text = head[: error.start].decode("utf-8")
    return all(character.isprintable() or character in "\t\r\n\f" for character in text)


#: The kinds that the first bytes identify; the first row that fits counts.
KINDS: Sequence[_KindRow] = (
    _KindRow("empty", "empty", lambda head: not head, _AGAIN),
    _KindRow(
        "lfs-pointer",
        "a Git LFS pointer, not the file that it stands for",
        _begins(b"version https://git-lfs.github.com/spec/"),
        "fetch that with `git lfs pull`, or download it by itself",
    ),
    _KindRow("script", "a script of the embedded runtime", _begins(b"#!rkllm-script "), None),
    _KindRow(
        "prompt-cache",
        "a prompt cache of the embedded runtime",
        _begins(b"rkllm-cpu kv "),
        "load it with rkllm.load_prompt_cache",
    ),
    _KindRow(
        "rknn",
        "an RKNN model, for librknnrt",
        _begins(b"RKNN"),
        "the language model is another file, with .rkllm at its end",
    ),
    _KindRow("html", "a web page, probably one that says why there is no file", _is_page, _AGAIN),
    _KindRow(
        "archive",
        "a packed archive",
        _begins(b"\x1f\x8b", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"BZh"),
        "unpack it",
    ),
    _KindRow(
        "zip",
        "a ZIP archive, as PyTorch's models are, too",
        _begins(b"PK\x03\x04", b"PK\x05\x06"),
        f"unpack it; if it holds PyTorch's weights, {_CONVERT}",
    ),
    _KindRow(
        "pickle",
        "a pickle of Python",
        _begins(b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5"),
        _CONVERT,
    ),
    _KindRow("elf", "a program or a library", _begins(b"\x7fELF"), "give the model's file"),
    _KindRow(
        "zeros",
        "all zeros at its start, as a download is that was not finished",
        lambda head: len(head) >= 64 and not any(head),
        _AGAIN,
    ),
    _KindRow("json", "JSON, not a model", _is_json, "give the model's own file"),
    _KindRow("text", "text, not a model", _is_text, "if it is an error of a web server, " + _AGAIN),
)

#: By the role of a GGUF file (:attr:`gguf.GGUFHeader.role`).
_ROLES = {
    "model": ("gguf", "a GGUF model", None),
    "adapter": ("adapter", "a LoRA adapter in GGUF", "load it with rkllm.load_lora"),
    "projector": (
        "projector",
        "the image encoder of a model in GGUF",
        "the language model is another file",
    ),
    "part": (
        "part",
        "one part of a GGUF model that was split",
        "join the parts with `llama-gguf-split --merge`",
    ),
}


def file_kind(read: ReadAt, size: int) -> FileKind:
    """Return the kind of a file.

    :param read: reads the file, e.g. ``lambda offset, length: os.pread(fd, length, offset)``; its
        exceptions pass through.
    :param size: the size of the file in bytes.
    """
    head = read(0, HEAD_BYTES)
    for recognise in (_gguf, _safetensors, _rkllm):
        found = recognise(read, head, size)
        if found:
            return found
    for row in KINDS:
        if row.fits(head):
            return FileKind(row.name, row.words, row.remedy)
    return FileKind("unknown", "a file of a kind that is not known")


def _gguf(read: ReadAt, head: bytes, size: int) -> FileKind | None:
    if not head.startswith(gguf.MAGIC):
        return None
    try:
        header = gguf.read_gguf(read, size)
    except EndsEarly:
        return _cut_short("GGUF", size, "its header does not end")
    except ValueError as error:
        return FileKind("damaged", f"a GGUF file that {error}", _AGAIN)
    if header.length > size:
        return _cut_short("GGUF", size, f"its tensors need {header.length} bytes")
    name, words, remedy = _ROLES[header.role]
    return FileKind(name, words, remedy, header)


def _safetensors(read: ReadAt, head: bytes, size: int) -> FileKind | None:
    if len(head) < 10 or head[8:9] != b"{":
        return None
    length = struct.unpack_from("<Q", head)[0]
    if not 2 <= length <= _MAX_SAFETENSORS_HEADER:
        return None
    if length + 8 > size:
        return _cut_short("safetensors", size, "its header does not end")
    ends = _end_of_safetensors(read(8, length)) if length <= _READ_OF_SAFETENSORS else 0
    if 8 + length + ends > size:
        return _cut_short("safetensors", size, f"its tensors need {8 + length + ends} bytes")
    return FileKind("safetensors", "a safetensors file, as PyTorch's models are", _CONVERT)


def _end_of_safetensors(header: bytes) -> int:
    """Return the end of the last tensor, in bytes after the header; 0 if it is unknown."""
    try:
        tensors = json.loads(header)
        return max(int(each["data_offsets"][1]) for each in tensors.values() if "dtype" in each)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return 0


def _rkllm(read: ReadAt, head: bytes, size: int) -> FileKind | None:
    toolkit = rkllm.toolkit_release(read(max(0, size - rkllm.TAIL_BYTES), rkllm.TAIL_BYTES))
    if toolkit or rkllm.looks_like_rkllm(head):
        return FileKind("rkllm", "an RKLLM model", toolkit=toolkit)
    return None


def _cut_short(kind: str, size: int, why: str) -> FileKind:
    words = f"a {kind} file that was cut short at {size} bytes: {why}"
    return FileKind("truncated", words, _AGAIN)
