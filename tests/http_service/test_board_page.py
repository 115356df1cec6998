"""The settings that docs/http-board.md and docs/operations.md show."""

from __future__ import annotations

import re
from pathlib import Path

from rkllm_twisted.daemon.options import Options as DaemonOptions
from rkllm_twisted.http_service.assembly import Options

DOCS = Path(__file__).parents[2] / "docs"


def toml_of(page: str) -> str:
    """The page's only settings."""
    (text,) = re.findall(r"^```toml\n(.*?)^```$", (DOCS / page).read_text(), re.M | re.S)
    return str(text)


def test_the_service_asks_all_daemons_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "http.toml").write_text(toml_of("http-board.md"))
    options = Options()
    options.parseOptions(["--config", str(tmp_path / "http.toml")])
    assert options.addresses == ("/run/rkllm/rkllm.sock", "/run/rkllm/cpu.sock")


def daemon_options(tmp_path: Path, text: str) -> DaemonOptions:
    """Parse a daemon's settings, with the models elsewhere."""
    models = tmp_path / "models"
    models.mkdir()
    (tmp_path / "rkllm.toml").write_text(text.replace("/var/lib/rkllm/models", str(models)))
    options = DaemonOptions()
    options.parseOptions(["--config", str(tmp_path / "rkllm.toml")])
    return options


def test_the_second_daemon_of_the_page_has_a_runtime_and_a_model(tmp_path: Path) -> None:
    options = daemon_options(tmp_path, toml_of("operations.md"))
    assert options["library"] == "llama"
    assert options["model"].startswith(f"{tmp_path}/models/")


def test_the_line_for_the_daemons_settings_names_its_models(tmp_path: Path) -> None:
    (line,) = re.findall("echo '(model-dir .*?)'", (DOCS / "http-board.md").read_text())
    assert len(daemon_options(tmp_path, line)["model-dir"]) == 1
