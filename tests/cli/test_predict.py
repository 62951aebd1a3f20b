import csv
import shutil

import numpy as np
import pytest
from PIL import Image


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_counts_points_and_overlays(dotcount, trained, data, tmp_path):
    out = tmp_path / "counts"
    code, printed, err = dotcount("predict", trained, data / "test", "--out", out)
    assert code == 0, err
    assert "3 of 3 images counted" in printed
    counts = rows(out / "counts.csv")
    assert list(counts[0]) == ["image", "count", "low", "high", "status", "error", "warning"]
    assert [row["image"] for row in counts] == sorted(row["image"] for row in counts)
    assert all(row["image"].startswith("images/") for row in counts)
    assert next(csv.reader((out / "points.csv").open())) == ["image", "x", "y", "score"]
    for row in counts:
        with Image.open(out / "overlays" / f"{row['image']}.jpg") as picture:
            assert picture.size == (512, 512)


def test_one_broken_image_among_many_costs_one_row(dotcount, trained, data, tmp_path):
    photos = tmp_path / "photos"
    source = sorted((data / "train" / "images").iterdir())
    photos.mkdir()
    for i in range(100):
        shutil.copy(source[i % len(source)], photos / f"{i}.png")
    (photos / "42.png").write_bytes(b"not an image")
    code, out, err = dotcount("predict", trained, photos, "--out", tmp_path / "out", "--no-overlays")
    assert code == 0, err
    assert "99 of 100 images counted" in out
    table = rows(tmp_path / "out" / "counts.csv")
    assert [row["image"] for row in table] == [f"{i}.png" for i in range(100)]
    broken = [row for row in table if row["status"] == "error"]
    assert [row["image"] for row in broken] == ["42.png"]
    assert "42.png" in broken[0]["error"]
    assert "1 FAILED" in out.splitlines()[-1]
    written = {p.name for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")}
    assert written == {"counts.csv", "points.csv", "prediction.json", "dotcount.json"}


def test_nothing_readable_is_a_failed_run_with_its_table(dotcount, trained, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    code, _, _ = dotcount("predict", trained, tmp_path / "a.png", "--out", tmp_path / "out")
    assert code == 1
    assert rows(tmp_path / "out" / "counts.csv")[0]["status"] == "error"


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16", "1"])
def test_kinds_of_images(dotcount, trained, tmp_path, mode):
    levels = np.arange(48 * 40).reshape(40, 48)
    pixels = (levels * 30).astype(np.uint16) if mode == "I;16" else (levels % 256).astype(np.uint8)
    picture = Image.fromarray(pixels)
    (picture if mode == "I;16" else picture.convert(mode)).save(tmp_path / "a b é.png")
    code, _, err = dotcount("predict", trained / "model", tmp_path / "a b é.png", "--out", tmp_path / "out")
    assert code == 0, err
    assert (tmp_path / "out" / "overlays" / "a b é.png.jpg").exists()


def test_tiling_does_not_change_the_result(dotcount, trained, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 330, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    counts = []
    for tile in (0, 64):
        out = tmp_path / str(tile)
        assert dotcount("predict", trained, tmp_path / "a.png", "--out", out, "--tile", tile, "--no-overlays")[0] == 0
        counts.append(float(rows(out / "counts.csv")[0]["count"]))
    assert counts[0] == pytest.approx(counts[1], abs=2e-3)


def test_bad_input(fails, trained, data, tmp_path):
    out = ["--out", tmp_path / "out"]
    assert "gone does not exist" in fails("predict", tmp_path / "gone", data, *out)
    assert "gone.png does not exist" in fails("predict", trained, tmp_path / "gone.png", *out)
    assert "matches no file" in fails("predict", trained, tmp_path / "*.webp", *out)
    (tmp_path / "empty").mkdir()
    assert "holds no image" in fails("predict", trained, tmp_path / "empty", *out)
    (tmp_path / "file").write_text("")
    assert "is a file" in fails("predict", trained, data, "--out", tmp_path / "file" / "x")
    assert "not available" in fails("predict", trained, data, *out, "--device", "cuda:99", code=2)
