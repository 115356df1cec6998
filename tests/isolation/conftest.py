"""Runtimes on recording libraries."""

from recording_fixtures import (
    layout,
    library,
    model_file,
    recorder,
    recording_libraries,
    release,
)

__all__ = ["layout", "library", "model_file", "recorder", "recording_libraries", "release"]
