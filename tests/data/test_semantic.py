"""A sample of the semantic fuzzer: every writer, some changes each; ``python -m tests.data.semantic`` tries more."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import semantic

TRIES = 25


@pytest.mark.parametrize("format", semantic.WRITTEN)
def test_no_dot_is_lost_in_silence(tmp_path: Path, format: str) -> None:
    for seed in range(TRIES):
        (tmp_path / str(seed)).mkdir()
        assert semantic.attempt(format, tmp_path / str(seed), seed) is None, f"seed {seed}"
