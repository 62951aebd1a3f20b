"""Recipes: the published experiments as configuration files, one for each line of the paper's tables.

A recipe is a YAML file with part of the tree of :class:`dotcount.config.RunConfig`; its comments say where each choice
comes from. ``dotcount train DATA --out RUN --config table1/shb-uot`` runs one.
"""

from __future__ import annotations

from pathlib import Path

from dotcount.errors import ConfigError
from dotcount.registry import did_you_mean

FOLDER = Path(__file__).parent
_ENDING = ".yaml"


def names() -> list[str]:
    """Return the names of all recipes, sorted.

    >>> "table1/shb-uot" in names()
    True
    """
    files = FOLDER.glob(f"*/*{_ENDING}")
    return sorted(file.relative_to(FOLDER).as_posix().removesuffix(_ENDING) for file in files)


def find(name: str | Path) -> Path:
    """Return the configuration file that ``name`` stands for: a file of the user's, or else a recipe.

    Raises
    ------
    ConfigError
        If it is neither; the message suggests the nearest recipe.

    Examples
    --------
    >>> find("table1/shb-uot").name
    'shb-uot.yaml'
    """
    path = Path(name)
    if path.exists():
        return path
    known = names()
    if path.as_posix() in known:
        return FOLDER / f"{path.as_posix()}{_ENDING}"
    groups = ", ".join(sorted({known_name.split("/")[0] for known_name in known}))
    raise ConfigError(
        f"config {name} is neither a file nor a recipe.{did_you_mean(path.as_posix(), known)} "
        f"Recipes are listed on the page 'Recipes' of the documentation ({groups})."
    )
