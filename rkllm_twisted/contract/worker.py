"""Checks one assumption, in a process that may hang or crash: ``python -m …contract.worker``."""

from __future__ import annotations

import json
import os
import sys

import attrs

from rkllm_twisted.contract.assumptions import ASSUMPTIONS
from rkllm_twisted.contract.raw_library import RawLibrary
from rkllm_twisted.contract.verdict import UNTESTED, NotTestable, Verdict
from rkllm_twisted.errors import RPCError, StartupError


def check(name: str, library: str, abi: str | None, model: str) -> Verdict:
    """Check an assumption in this process."""
    assumption = next(one for one in ASSUMPTIONS if one.name == name)
    assert assumption.check is not None
    try:
        return assumption.check(RawLibrary(library, abi, model))
    except (NotTestable, RPCError) as error:
        return Verdict(UNTESTED, str(error))


def main(argv: list[str]) -> None:
    """Check, and write the verdict to a descriptor that the library does not print to."""
    descriptor, *what = json.loads(argv[1])
    try:
        verdict = check(*what)
    except StartupError as error:
        sys.exit(str(error))
    os.write(descriptor, json.dumps(attrs.asdict(verdict)).encode())
    os._exit(0)  # without the library's own exit functions, which may crash


if __name__ == "__main__":
    main(sys.argv)
