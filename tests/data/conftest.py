from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def data_folder() -> Callable[[str], Path]:
    """Return the folder of a real data set, or skip: users have none of them."""
    root = Path(os.environ.get("DOTCOUNT_DATA", "../shared/data"))

    def find(name: str) -> Path:
        folder = root / name
        if not folder.is_dir():
            pytest.skip(f"real data is not here: {folder} (set DOTCOUNT_DATA to the folder that holds it)")
        return folder

    return find
