"""The options of ``twistd rkllm``: from the command line, the environment, a file and the table."""

from __future__ import annotations

from rkllm_twisted.cpu import CPU
from rkllm_twisted.daemon.option_table import SETTINGS
from rkllm_twisted.daemon.table_options import TableOptions


class Options(TableOptions):
    """The options, parsed: values by name."""

    settings = SETTINGS
    longdesc = (
        "Serves Rockchip's RKLLM runtime (librkllmrt.so) as JSON-RPC 2.0 on a UNIX socket. On a"
        " machine without an NPU, --library cpu runs the embedded runtime on the processor."
    )

    def check(self) -> list[str]:
        """Return what is wrong about the values together, a sentence each."""
        if self["max-unparsed"] < self["max-message"]:
            return [
                "--max-unparsed must not be less than --max-message: no message of that size could"
                " be received."
            ]
        if self["model-param"] and self["model"] is None:
            return ["--model-param needs --model."]
        return []

    def check_sources(self) -> list[str]:
        """Return what is wrong about the options that are given, a sentence each."""
        if self["library"] in (None, CPU):
            return [
                f"--{name} needs --library llama."
                for name in ("llama-devices", "llama-gpu-layers")
                if self.sources.get(name) == f"--{name}"
            ]
        return []
