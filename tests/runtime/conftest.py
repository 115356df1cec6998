"""Runtimes on recording libraries."""

from recording_fixtures import (
    batched,
    call,
    layout,
    library,
    loaded,
    loaded_with,
    model_file,
    recorder,
    recording_libraries,
    release,
    runtime,
)

__all__ = [
    "batched",
    "call",
    "layout",
    "library",
    "loaded",
    "loaded_with",
    "model_file",
    "recorder",
    "recording_libraries",
    "release",
    "runtime",
]
