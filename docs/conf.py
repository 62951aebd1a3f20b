"""Sphinx configuration."""

import importlib.metadata

project = "dotcount"
author = "The dotcount authors"
copyright = "2026, the dotcount authors"
release = importlib.metadata.version("dotcount")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = True
napoleon_google_docstring = False

html_theme = "furo"
html_title = "dotcount"
exclude_patterns = ["build"]


def write_help(_app: object) -> None:
    """Write the command line's own help texts, so that the page can't say anything else."""
    import argparse
    import contextlib
    import io
    import os
    from pathlib import Path

    from dotcount.cli.main import VERBS, main

    os.environ["COLUMNS"] = "100"
    folder = Path(__file__).parent / "reference" / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    for verb in ["", *VERBS]:
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.suppress(argparse.ArgumentError):
            main([verb, "--help"] if verb else ["--help"])
        (folder / f"{verb or 'dotcount'}.txt").write_text(text.getvalue(), encoding="utf-8")


def setup(app: object) -> None:
    """Connect the hook."""
    app.connect("builder-inited", write_help)  # type: ignore[attr-defined]
