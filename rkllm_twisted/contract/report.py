"""Makes the report: Markdown for people, JSON for programs."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import attrs

from rkllm_twisted import __version__
from rkllm_twisted.contract.runner import CheckResult
from rkllm_twisted.contract.verdict import CONFIRMED, CONTRADICTED, UNTESTED
from rkllm_twisted.values import RuntimeVersion

#: The board's name in its device tree.
BOARD = Path("/proc/device-tree/model")


def circumstances(runtime: RuntimeVersion, model: str) -> dict[str, Any]:
    """Return the facts that a reader of the report needs: software, board, library, model."""
    board = BOARD.read_text(errors="replace").strip("\0\n") if BOARD.exists() else None
    return {
        "rkllm_twisted": __version__,
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "board": board,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "runtime": attrs.asdict(runtime),
        "model": {"path": model, "bytes": Path(model).stat().st_size},
    }


def as_json(where: dict[str, Any], results: Sequence[CheckResult]) -> str:
    """Return the report for programs: each assumption with its verdict and what was seen."""
    assumptions = [
        {
            "name": result.assumption.name,
            "assumption": result.assumption.text,
            "otherwise": result.assumption.otherwise,
            **attrs.asdict(result.verdict),
            "seconds": result.seconds,
            "lines": list(result.lines),
        }
        for result in results
    ]
    whole = {**where, "counts": counts(results), "assumptions": assumptions}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def counts(results: Sequence[CheckResult]) -> dict[str, int]:
    """Return the number of assumptions with each verdict."""
    counted = Counter(result.verdict.verdict for result in results)
    return {verdict: counted[verdict] for verdict in (CONFIRMED, CONTRADICTED, UNTESTED)}


def as_markdown(where: dict[str, Any], results: Sequence[CheckResult]) -> str:
    """Return the report for people: a table, and the consequence of each contradiction."""
    runtime, model = where["runtime"], where["model"]
    counted = ", ".join(f"{number} {verdict}" for verdict, number in counts(results).items())
    parts = [
        "# What the code assumes of librkllmrt",
        "",
        f"{counted}.",
        "",
        f"- library: `{runtime['library']}`, version {runtime['version'] or 'not stated'}, layout"
        f" {runtime['abi']} ({runtime['recognised_by']}), backend {runtime['backend']}",
        f"- model: `{model['path']}`, {model['bytes']} bytes",
        f"- board: {where['board'] or 'not a board that says its name'}",
        f"- system: {where['system']}, Python {where['python']}",
        f"- rkllm_twisted {where['rkllm_twisted']}, {where['time']}",
        "",
        "| | assumption | verdict | seen |",
        "|---|---|---|---|",
        *(_row(result) for result in results),
    ]
    wrong = [result for result in results if result.verdict.verdict == CONTRADICTED]
    for result in wrong:
        parts += ["", f"## Contradicted: {result.assumption.name}", "", result.assumption.text]
        parts += ["", result.verdict.seen, "", result.assumption.otherwise]
        if result.lines:
            parts += [
                "",
                "The library's last lines:",
                "",
                *(f"    {line}" for line in result.lines),
            ]
    return "\n".join(parts) + "\n"


def _row(result: CheckResult) -> str:
    cells = (
        result.assumption.name,
        result.assumption.text,
        result.verdict.verdict,
        result.verdict.seen,
    )
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"
