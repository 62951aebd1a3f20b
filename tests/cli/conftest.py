import numpy as np
import pytest
from PIL import Image

from dotcount.cli.main import main
from dotcount.data.synthetic import write_dataset

TINY = [
    "--crop", "64", "--epochs", "2", "--set", "model.options.width=4", "--set", "training.steps_per_epoch=2",
    "--set", "training.batch_size=2",
]  # fmt: skip


@pytest.fixture(scope="session")
def tiny():
    """Arguments of a training run that takes seconds."""
    return TINY


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Fourteen small scenes in three parts."""
    return write_dataset(tmp_path_factory.mktemp("data") / "cells", train=8, val=3, test=3, size=64, seed=3)


@pytest.fixture(scope="session")
def trained(data, tmp_path_factory):
    """A run trained by the command line."""
    out = tmp_path_factory.mktemp("runs") / "cells"
    assert main(["train", str(data), "--out", str(out), *TINY]) == 0
    return out


@pytest.fixture
def dotcount(capsys):
    """Run the command line in this process; returns (exit code, stdout, stderr)."""

    def run(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def fails(dotcount, tmp_path):
    """Run a command that must fail with one clear line and leave nothing behind; returns that line."""

    def run(*words, code=1):
        got, _, err = dotcount(*words)
        lines = err.strip().splitlines()
        assert got == code, err
        assert len(lines) == 1, err
        assert lines[0].startswith("dotcount: error: ")
        assert "Traceback" not in err
        assert not (tmp_path / "out").exists(), "a failed command left something behind"
        return lines[0]

    return run


@pytest.fixture
def folder(tmp_path):
    """Write images of the given size with dots: {name: rows of (x, y) or None for no rows}."""

    def write(dots, size=(64, 64), manifest=None):
        root = tmp_path / "photos"
        root.mkdir()
        rng = np.random.default_rng(0)
        rows = ["image,x,y"]
        for name, xy in dots.items():
            Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).save(root / name)
            rows += [f"{name},{x},{y}" for x, y in xy or []]
        (root / "dots.csv").write_text("\n".join(rows) + "\n")
        return root

    return write
