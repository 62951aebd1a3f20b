"""Trained models that come with the package, each a model folder with its card: ``dotcount predict trees photos/``.

Only models whose training data allows it are here: aerial trees (CC BY 4.0) and cells from dotcount's own drawn scenes.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the names of the published models, sorted."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


def find(name: str | Path) -> Path | None:
    """Return the folder of the published model ``name``; None if there is none, or a file of that name goes first."""
    return FOLDER / str(name) if not Path(name).exists() and str(name) in names() else None
