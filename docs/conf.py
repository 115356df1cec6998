"""How Sphinx builds these pages: ``make html``. A warning is an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from rkllm_twisted import __version__  # noqa: E402 - found by the line above

project = "rkllm_twisted"
author = "The rkllm_twisted developers"
copyright = author  # noqa: A001 - Sphinx's name for it
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "zope_interfaces"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"rkllm_twisted {release}"
html_theme_options = {"source_directory": "docs/"}
html_show_copyright = False
#: A block without a language is what travels on the wire, or what a terminal shows.
highlight_language = "none"
smartquotes = False

myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}


class ScriptLexer(TextLexer):
    """Scripts of the embedded runtime."""

    name = "rkllm-script"
    aliases = ("rkllm-script",)


def add_unreleased(_: Sphinx, page: str, text: list[str]) -> None:
    """Put the news of the next release into the changelog, where there are fragments of it."""
    if page == "changelog" and (HERE.parent / "newsfragments").is_dir():
        command = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "unreleased"]
        draft = subprocess.check_output(command, cwd=HERE.parent, stderr=subprocess.DEVNULL)
        news = draft.decode().strip().replace("\n#", "\n##").replace("](docs/", "](")
        text[0] = text[0].replace("```{include}", f"#{news}\n\n```{{include}}", 1)


def setup(app: Sphinx) -> None:
    """Add what Sphinx does not know."""
    app.add_lexer("rkllm-script", ScriptLexer)
    app.connect("source-read", add_unreleased)
