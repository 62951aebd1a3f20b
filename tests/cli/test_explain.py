import csv
import json

import pytest
from PIL import Image

FIGURES = {"figure1.png", "figure2.png", "transport.png"}


@pytest.fixture
def image(data):
    return sorted((data / "test" / "images").iterdir())[0]


@pytest.fixture
def dots(data, image, tmp_path):
    """The dots of this image alone, in a file of their own."""
    with (data / "test" / "dots.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["image"].endswith(image.name)]
    path = tmp_path / "mine.csv"
    path.write_text("x,y\n" + "".join(f"{row['x']},{row['y']}\n" for row in rows))
    return path


def test_dots_from_a_file(dotcount, trained, image, dots, tmp_path):
    code, out, err = dotcount("explain", trained, image, "--dots", dots, "--out", tmp_path / "why")
    assert code == 0, err
    assert {p.name for p in (tmp_path / "why").iterdir()} == FIGURES | {
        "dots.csv", "unmatched.csv", "explanation.json", "dotcount.json"
    }  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "why" / "dots.csv").read_text().splitlines()))
    found = json.loads((tmp_path / "why" / "explanation.json").read_text())
    assert len(rows) == found["dots"] == len(dots.read_text().splitlines()) - 1
    assert sum(float(row["dot_mass"]) for row in rows) == pytest.approx(found["transported"], abs=0.01)
    assert f"{found['dots']} dots receive" in out
    assert "epsilon 0.01 = 0.64 px" in out  # the run's own, of crops of 64 px
    for name in FIGURES:
        with Image.open(tmp_path / "why" / name) as picture:
            picture.verify()


def test_dots_of_the_data_are_the_same(dotcount, trained, data, image, dots, tmp_path):
    numbers = []
    for k, words in enumerate(
        [(image, "--dots", dots), (image, "--data", data), (image.name, "--data", data / "test")]
    ):
        assert dotcount("explain", trained, *words, "--out", tmp_path / f"{k}")[0] == 0
        numbers.append((tmp_path / f"{k}" / "dots.csv").read_text())
    assert numbers[0] == numbers[1] == numbers[2]


def test_without_dots_there_is_figure_2(dotcount, trained, image, tmp_path):
    code, out, _ = dotcount("explain", trained, image, "--out", tmp_path / "why")
    assert code == 0
    assert "no transport map without dots" in out
    assert sorted(p.name for p in (tmp_path / "why").iterdir()) == ["dotcount.json", "figure2.png"]


def test_an_image_without_objects(dotcount, trained, image, tmp_path):
    (tmp_path / "none.csv").write_text("x,y\n")
    code, out, _ = dotcount("explain", trained, image, "--dots", tmp_path / "none.csv", "--out", tmp_path / "why")
    assert code == 0
    assert "0 dots receive 0.0 objects" in out


def test_bad_input(fails, trained, data, image, tmp_path):
    out = ["--out", tmp_path / "out"]
    (tmp_path / "bad.csv").write_text("x,y\n900,3\n")
    assert "gone does not exist" in fails("explain", tmp_path / "gone", image, *out)
    assert "gone.png" in fails("explain", trained, tmp_path / "gone.png", *out)
    assert "gone.csv do not exist" in fails("explain", trained, image, "--dots", tmp_path / "gone.csv", *out)
    assert "is not inside image" in fails("explain", trained, image, "--dots", tmp_path / "bad.csv", *out)
    assert "holds no image 'nothing.png'" in fails("explain", trained, "nothing.png", "--data", data, *out)


def test_dots_and_data_exclude_each_other(dotcount, trained, image, tmp_path):
    code, _, err = dotcount("explain", trained, image, "--dots", "a", "--data", "b", "--out", tmp_path / "out")
    assert code == 2
    assert "not allowed with" in err
