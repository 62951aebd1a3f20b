"""Where the style sheet lies that every page begins with: those of files and those that are served."""

from __future__ import annotations

from pathlib import Path

THEME = Path(__file__).with_name("theme.css")
"""Colours of the light, the dark and the printed page, and what all pages have in common."""
