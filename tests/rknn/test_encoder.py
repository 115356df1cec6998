"""librknnrt's binding, over the scripted library."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest
from encoder_scripts import encoder_script
from zope.interface.verify import verifyObject

from rkllm_twisted.errors import InvalidParams, LibraryError, NoModel, RuntimeRefused
from rkllm_twisted.rknn import library
from rkllm_twisted.rknn.encoder import RKNNEncoder
from rkllm_twisted.rknn.layouts import CORE_MASKS, STRUCTURES
from rkllm_twisted.rknn.library import SCRIPTED, open_library
from rkllm_twisted.rknn.provider import rknn
from rkllm_twisted.vision_interfaces import CORES, IOpenedEncoder, IVisionEncoder

PIXELS = bytes(range(96))


def opened(directory: Path, *lines: str, cores: str = "auto") -> RKNNEncoder:
    """Open a small encoder."""
    return rknn.open(encoder_script(directory, *lines), cores, SCRIPTED)


def test_the_structures_have_the_sizes_of_the_vendors_header() -> None:
    """Other sizes would be memory corruption."""
    sizes = {name: ctypes.sizeof(structure) for name, structure in STRUCTURES.items()}
    assert sizes == {
        "rknn_input_output_num": 8,
        "rknn_tensor_attr": 376,
        "rknn_sdk_version": 512,
        "rknn_mem_size": 64,
        "rknn_input": 32,
        "rknn_output": 24,
    }
    assert STRUCTURES["rknn_tensor_attr"].h_stride.offset == 372


def test_the_cores_are_those_of_the_interface() -> None:
    """Each name has a mask."""
    assert tuple(CORE_MASKS) == CORES


def test_the_interfaces_are_provided(tmp_path: Path) -> None:
    """The plugin, and what it opens."""
    assert verifyObject(IVisionEncoder, rknn)
    encoder = opened(tmp_path)
    assert verifyObject(IOpenedEncoder, encoder)
    encoder.close()


def test_files_are_recognised_by_their_first_bytes() -> None:
    """Whatever their names."""
    assert rknn.recognises(b"RKNN\0\0\0\0\x06", "a.bin")
    assert rknn.recognises(b"#!rknn-script 1\n", "a.rknn")
    assert not rknn.recognises(b"GGUF", "a.rknn")


def test_the_file_says_its_sizes(tmp_path: Path) -> None:
    """No option says them, so none can be wrong."""
    encoder = opened(tmp_path, "outputs 4", "memory 5000", "driver 0.9.9")
    assert (encoder.width, encoder.height) == (8, 4)
    assert (encoder.tokens, encoder.row_width, encoder.outputs) == (4, 6, 4)
    assert encoder.about.memory == 5000
    assert encoder.about.driver == "0.9.9"
    assert not encoder.about.is_real
    encoder.close()


@pytest.mark.parametrize(
    ("dims", "rows"),
    [
        ("4 6", (4, 6)),
        ("1 4 6", (4, 6)),
        ("1 4 1 6", (4, 6)),
        ("1 1 24", (1, 24)),
        ("1 24", (1, 24)),
        ("24", (1, 24)),
    ],
)
def test_ones_in_a_shape_do_not_count(tmp_path: Path, dims: str, rows: tuple[int, int]) -> None:
    """Also of an encoder with one token, which Rockchip's demonstration misreads."""
    encoder = opened(tmp_path, f"dims {dims}")
    assert (encoder.tokens, encoder.row_width) == rows
    assert encoder.encode(PIXELS).shape == rows
    encoder.close()


def test_equal_pictures_have_equal_rows(tmp_path: Path) -> None:
    """And others have others."""
    encoder = opened(tmp_path)
    rows = encoder.encode(PIXELS)
    assert rows.shape == (4, 6)
    assert encoder.encode(PIXELS) == rows
    assert encoder.encode(bytes(96)) != rows
    encoder.close()


def test_deepstack_outputs_come_token_by_token(tmp_path: Path) -> None:
    """The rows of all outputs of token 0, then those of token 1."""
    one, four = opened(tmp_path), opened(tmp_path, "outputs 4")
    single = memoryview(one.encode(PIXELS).data).cast("f")
    stacked = four.encode(PIXELS)
    assert stacked.shape == (4, 24)
    numbers = memoryview(stacked.data).cast("f")
    for token in range(4):
        assert numbers[token * 24 : token * 24 + 6] == single[token * 6 : token * 6 + 6]
    one.close()
    four.close()


def test_all_outputs_are_released(tmp_path: Path) -> None:
    """With one that is not, the library has no memory soon."""
    encoder = opened(tmp_path, "outputs 4", "held 4")
    for _ in range(5):
        encoder.encode(PIXELS)
    encoder.close()


def test_outputs_are_released_after_a_fault(tmp_path: Path) -> None:
    """Numbers that are not finite cost no memory either."""
    encoder = opened(tmp_path, "held 1", "output inf")
    for _ in range(3):
        with pytest.raises(RuntimeRefused, match="not finite"):
            encoder.encode(PIXELS)
    encoder.close()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["dims 1 1 2 2 6"], r"the shape \[1, 1, 2, 2, 6\], and not that of tokens"),
        (["inputs 2"], "it has 2 inputs"),
        (["driver 0.9.6"], r"the rknpu driver is 0\.9\.6, and vision encoders need 0\.9\.8"),
        (["version 1.6.0"], r"librknnrt is 1\.6\.0, and vision encoders need 2\.0\.0"),
    ],
)
def test_an_unusable_file_is_refused_in_words(tmp_path: Path, lines: list[str], said: str) -> None:
    """Before anything runs."""
    with pytest.raises(InvalidParams, match=said):
        opened(tmp_path, *lines)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("init -6", "rknn_init returned -6: it cannot read the file"),
        ("init -4", "base_domain_id 1"),
        ("init -99", "this status is unknown"),
    ],
)
def test_a_status_is_explained(tmp_path: Path, line: str, said: str) -> None:
    """The number goes with it, for those who search for it."""
    with pytest.raises(RuntimeRefused, match=said) as caught:
        opened(tmp_path, line)
    assert caught.value.data == {"function": "rknn_init", "status_code": int(line.split()[1])}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run -1", "rknn_run returned -1"),
        ("output null", "gave nothing as output 0, and 96 bytes are due"),
        ("output nan", "not finite"),
    ],
)
def test_a_fault_of_a_run_is_explained(tmp_path: Path, line: str, said: str) -> None:
    """The encoder stays open."""
    encoder = opened(tmp_path, line)
    with pytest.raises(RuntimeRefused, match=said):
        encoder.encode(PIXELS)
    encoder.close()


def test_pixels_of_another_size_never_reach_the_library(tmp_path: Path) -> None:
    """It would read beyond their end."""
    encoder = opened(tmp_path)
    with pytest.raises(InvalidParams, match="8 x 4 x 3 = 96"):
        encoder.encode(bytes(95))
    encoder.close()


def test_a_closed_encoder_is_not_used(tmp_path: Path) -> None:
    """Closing it twice does nothing."""
    encoder = opened(tmp_path)
    encoder.close()
    encoder.close()
    with pytest.raises(NoModel):
        encoder.encode(PIXELS)


def test_cores_that_the_chip_lacks_cost_a_warning_only(tmp_path: Path) -> None:
    """The library then chooses them."""
    encoder = opened(tmp_path, "cores -1", cores="0_1")
    assert encoder.warning is not None
    assert "rknn_set_core_mask returned -1" in encoder.warning
    assert encoder.encode(PIXELS).shape == (4, 6)
    encoder.close()


def test_a_wrong_name_of_cores_is_refused(tmp_path: Path) -> None:
    """The names are said."""
    with pytest.raises(InvalidParams, match="must be one of auto, 0"):
        opened(tmp_path, cores="seven")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says which option names one."""
    with pytest.raises(LibraryError, match="--vision-library"):
        open_library("/nowhere/librknnrt.so")
    monkeypatch.setattr(library, "SONAME", "librknn-nowhere.so")
    with pytest.raises(LibraryError, match="There is no librknn-nowhere.so on the loader's path"):
        open_library()


def test_another_library_is_no_librknnrt() -> None:
    """C's own library has no rknn_init."""
    with pytest.raises(LibraryError, match="does not export rknn_init"):
        open_library("libc.so.6")


def test_the_plugin_is_found_without_loading_its_parts() -> None:
    """A daemon that never sees a picture does not pay for them."""
    program = (
        "import sys; from twisted.plugins import rkllm_encoders as found;"
        "sys.exit('rkllm_twisted.rknn.encoder' in sys.modules or not found.rknn)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
