"""How the release of a library is recognised."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from recording_library import build, compile_c

from rkllm_twisted.abi.layouts import layout_of
from rkllm_twisted.abi.release import Release, releases
from rkllm_twisted.errors import LibraryError
from rkllm_twisted.runtime import detect as module
from rkllm_twisted.runtime.detect import default_param, detect_release, plausible, version_text
from rkllm_twisted.runtime.library import OpenedFile

TEXT = "RKLLM SDK (version: {})"


def opened(path: Path) -> OpenedFile:
    """Open a library."""
    return OpenedFile(path, ctypes.CDLL(str(path)))


@pytest.mark.parametrize(
    ("layout", "version"),
    [("1.1.4", "1.1.2"), ("1.2.0", "1.2.0"), ("1.2.1", "1.2.3"), ("1.3.0", "1.3.0")],
)
def test_by_the_text_in_the_library(layout: str, version: str, tmp_path: Path) -> None:
    """The version text says the release, and the release its layout."""
    library = build(releases()[layout], tmp_path, TEXT.format(version + "b7 beta"))
    known = detect_release(opened(library), None, releases())
    assert (known.release.name, known.version) == (layout, version)
    assert known.reason == f"the library's own text says version {version}"


def test_by_what_the_library_shows(library: Path, release: Release) -> None:
    """If the version text is missing, functions and default parameters identify the layout."""
    known = detect_release(opened(library), None, releases())
    assert (known.release, known.version) == (release, None)
    assert known.reason == "its functions and its default parameters fit this one only"


@pytest.mark.parametrize("abi", ["1.2.1", "1.2.2", "1.2.3"])
def test_by_the_option(recording_libraries: Callable[[Release], Path], abi: str) -> None:
    """The option decides, unless the library contradicts it."""
    known = detect_release(opened(recording_libraries(releases()["1.2.1"])), abi, releases())
    assert (known.release.name, known.reason) == ("1.2.1", f"chosen with --abi {abi}")


def test_the_option_helps_with_a_release_that_is_not_known(tmp_path: Path) -> None:
    """A newer version is refused unless the option gives its layout."""
    library = opened(build(releases()["1.3.0"], tmp_path, TEXT.format("1.3.7")))
    with pytest.raises(LibraryError, match=r"1\.3\.7 is not known .*--abi"):
        detect_release(library, None, releases())
    known = detect_release(library, "1.3.0", releases())
    assert (known.release.name, known.version) == ("1.3.0", "1.3.7")


@pytest.mark.parametrize(
    ("library", "abi", "what"),
    [
        ("1.1.4", "1.2.0", r"exports the functions of 1\.1\.4, not of 1\.2\.0"),
        ("1.2.0", "1.3.0", r"exports the functions of 1\.2\.0, not of 1\.3\.0"),
        ("1.3.0", "1.2.0", r"exports the functions of 1\.2\.1 or 1\.3\.0, not of 1\.2\.0"),
        ("1.3.0", "1.2.1", r"default parameters of 1\.3\.0, not of 1\.2\.1 \(chosen with --abi"),
        ("1.2.1", "1.3.0", r"default parameters of 1\.2\.1, not of 1\.3\.0"),
        ("1.3.0", "9.9.9", r"9\.9\.9 is not known"),
    ],
)
def test_an_option_that_contradicts_the_library(
    recording_libraries: Callable[[Release], Path], library: str, abi: str, what: str
) -> None:
    """A wrong layout would overwrite memory, so the option is refused."""
    with pytest.raises(LibraryError, match=what):
        detect_release(opened(recording_libraries(releases()[library])), abi, releases())


def test_a_text_that_contradicts_the_library(tmp_path: Path) -> None:
    """The library's default parameters must agree with its version text."""
    library = build(releases()["1.3.0"], tmp_path, TEXT.format("1.2.3"))
    with pytest.raises(LibraryError, match=r"default parameters of 1\.3\.0, not of 1\.2\.1 \(the"):
        detect_release(opened(library), None, releases())


def test_what_fits_several_is_refused(
    recording_libraries: Callable[[Release], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user must then choose a release."""
    monkeypatch.setattr(module, "plausible", lambda release, data: True)
    library = opened(recording_libraries(releases()["1.3.0"]))
    with pytest.raises(LibraryError, match=r"fits 1\.2\.1 and 1\.3\.0; name .* --abi"):
        detect_release(library, None, releases())
    assert detect_release(library, "1.3.0", releases()).release.name == "1.3.0"


def test_what_fits_none_is_refused(tmp_path: Path) -> None:
    """A library with an unknown set of functions is of no known release."""
    source = tmp_path / "odd.c"
    source.write_text(
        "int rkllm_init(void) { return 0; }\nint rkllm_createDefaultParam(void)"
        " { return 0; }\nint rkllm_run(void) { return 0; }\n"
    )
    compile_c(["-shared", "-fPIC", str(source), "-o", str(tmp_path / "odd.so")])
    library = attrs.evolve(opened(tmp_path / "odd.so"))
    with pytest.raises(LibraryError, match="fits none that is known"):
        detect_release(library, None, releases())
    with pytest.raises(LibraryError, match="exports the functions of no release that is known"):
        detect_release(library, "1.3.0", releases())


def test_the_probe_reads_the_whole_structure(library: Path, release: Release) -> None:
    """The probe's buffer begins with the bytes of each layout's structure."""
    made = layout_of(release).structs["RKLLMParam"].from_buffer_copy(default_param(opened(library)))
    assert made.max_context_len == 512
    assert made.mirostat_tau == 5.0
    assert getattr(made.extend_param, "n_batch", 1) == 1


@pytest.mark.parametrize("content", [b"", b"no text", b"RKLLM SDK (version: unknown)"])
def test_files_without_the_text(content: bytes, tmp_path: Path) -> None:
    """Such files give no version; an empty or missing file is an error."""
    path = tmp_path / "file"
    path.write_bytes(content)
    if content:
        assert version_text(path) is None
    else:
        with pytest.raises(LibraryError, match="cannot be read to find its version"):
            version_text(path)
    with pytest.raises(LibraryError, match="cannot be read"):
        version_text(tmp_path / "missing")


@pytest.mark.parametrize(
    ("field", "value"),
    [("top_p", 1e9), ("skip_special_token", 2), ("max_context_len", 1 << 30), ("img_start", 7)],
)
def test_values_that_no_default_has(field: str, value: float) -> None:
    """A layout under which a field has an impossible value does not fit."""
    release = releases()["1.2.1"]
    param = layout_of(release).structs["RKLLMParam"]()
    param.extend_param.n_batch = 1
    assert plausible(release, bytes(param))
    offset = getattr(type(param), field).offset
    kinds = {float: ctypes.c_float, int: ctypes.c_uint32}
    data = bytearray(param)
    data[offset : offset + 4] = bytes(kinds[type(value)](value))
    assert not plausible(release, bytes(data))
