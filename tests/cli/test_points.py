"""As many points as the count says, asked for on the command line."""

import csv

from PIL import Image

from dotcount.cli.main import main
from dotcount.data.synthetic import generate


def test_points_agree_with_the_count_and_the_two_ways_are_not_mixed(tmp_path, capsys):
    Image.fromarray(generate("cells", size=96)[0]).save(tmp_path / "a.png")
    words = ["predict", "cells", str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--write", "csv"]
    assert main([*words, "--points", "count"]) == 0
    with (tmp_path / "out" / "counts.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    with (tmp_path / "out" / "points.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == round(float(row["count"]))
    assert main([*words, "--points", "peaks"]) != 0
    assert "--overwrite" in capsys.readouterr().err
