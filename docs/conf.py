"""Sphinx configuration."""

import importlib
import importlib.metadata
import inspect
from pathlib import Path

project = "dotcount"
author = "The dotcount authors"
copyright = "2026, the dotcount authors"
release = importlib.metadata.version("dotcount")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = True
napoleon_google_docstring = False

autosummary_imported_members = True
autosummary_ignore_module_all = False

html_theme = "furo"
html_title = "dotcount"
exclude_patterns = ["build"]
templates_path = ["_templates"]


ROOMS = {
    "Counting": "prediction",
    "Inference": "inference",
    "Model metadata": "metadata",
    "Training": "training",
    "Evaluation": "evaluation",
    "Audit": "audit",
    "Calibration": "calibration",
    "Metrics": "metrics",
    "Losses": "losses",
    "Transport": "transport",
    "Models": "models",
    "Data": "data",
    "Pictures and reports": "report",
    "Published configurations": "recipes",
    "Points": "points",
    "Density grids": "density",
    "Regions": "regions",
    "Places on the earth": "geo",
    "Files": "files",
    "Parquet tables": "tables",
    "Files by their URLs": "remote",
    "Errors": "errors",
}
INTRODUCTION = """# Python interface

A page for each public name, by room. `dotcount.load`, `dotcount.train` and the others that `dotcount` itself offers
are the same objects.
"""


def public_names(room: str) -> list[str]:
    """Return the public classes and functions of a room by their full names."""
    module = importlib.import_module(f"dotcount.{room}")
    own = [n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__]
    names = getattr(module, "__all__", None) or [n for n in own if not n.startswith("_")]
    found = [n for n in names if inspect.isclass(getattr(module, n)) or inspect.isroutine(getattr(module, n))]
    return [f"dotcount.{room}.{name}" for name in found]


def write_api() -> None:
    """Write the page that lists every public name, before Sphinx looks which pages there are."""
    listed: dict[int, str] = {}
    page = [INTRODUCTION]
    for title, room in ROOMS.items():
        names = []
        for name in public_names(room):
            thing = getattr(importlib.import_module(f"dotcount.{room}"), name.rpartition(".")[2])
            if listed.setdefault(id(thing), name) == name:
                names.append(f"   {name}\n")
        page.append(f"## {title}\n\n```{{eval-rst}}\n.. autosummary::\n   :toctree: generated\n\n{''.join(names)}```\n")
    (Path(__file__).parent / "reference" / "api.md").write_text("\n".join(page), encoding="utf-8")


write_api()


def write_notebooks() -> None:
    """Write the notebooks as pages; the tests run them."""
    import json
    import sys

    sys.path.insert(0, str(Path(__file__).parent))
    from notebooks import page

    for path in Path(__file__).parent.rglob("*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        path.with_suffix(".md").write_text(page(notebook, path.with_suffix("")), encoding="utf-8")


write_notebooks()


def write_help(_app: object) -> None:
    """Write the command line's own help texts, so that the page can't say anything else."""
    import argparse
    import contextlib
    import io
    import os

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
