"""Sphinx configuration."""

from importlib.metadata import version

project = "dotcount"
author = "The dotcount authors"
copyright = "2026, the dotcount authors"
release = version("dotcount")

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
