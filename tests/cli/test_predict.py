import csv
import json
import os
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
    assert list(counts[0]) == ["image", "count", "low", "high", "status", "error", "warning", "familiarity"]
    assert [row["image"] for row in counts] == sorted(row["image"] for row in counts)
    assert all(row["image"].startswith("images/") for row in counts)
    assert next(csv.reader((out / "points.csv").open())) == ["image", "x", "y", "score"]
    for row in counts:
        with Image.open(out / "overlays" / f"{row['image']}.jpg") as picture:
            assert picture.width == 512


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


def test_the_last_line_sums_up_everything_and_strict_fails(dotcount, trained, data, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    source = sorted((data / "train" / "images").iterdir())
    for k in range(14):
        shutil.copy(source[k % len(source)], photos / f"{k}.png")
    for k in (3, 7, 9):
        (photos / f"{k}.png").write_bytes(b"broken")
    (photos / "film.MP4").write_bytes(b"x")
    words = ["predict", trained, photos, "--write", "csv"]
    code, out, _ = dotcount(*words, "--out", tmp_path / "out")
    last = out.splitlines()[-1]
    assert code == 0
    assert "11 of 14 images counted" in last
    assert "3 FAILED" in last
    assert "1 left out" in last
    assert "film.MP4" in out
    assert dotcount(*words, "--out", tmp_path / "out", "--strict")[0] == 1  # the second run repeats nothing, and knows
    for path in (photos / "3.png", photos / "7.png", photos / "9.png", photos / "film.MP4"):
        path.unlink()
    code, out, _ = dotcount(*words, "--out", tmp_path / "out2")
    warned = sum(bool(row["warning"]) for row in rows(tmp_path / "out2" / "counts.csv"))
    assert dotcount(*words, "--out", tmp_path / "out2", "--strict")[0] == (1 if warned else 0)


def test_the_same_command_goes_on_and_another_is_refused(dotcount, trained, data, tmp_path):
    words = ["predict", trained, data / "test", "--out", tmp_path / "out", "--write", "csv,coco"]
    assert dotcount(*words)[0] == 0
    before = (tmp_path / "out" / "counts.csv").stat()
    code, out, _ = dotcount(*words)
    assert code == 0
    assert "by an earlier run" in out
    assert (tmp_path / "out" / "counts.csv").stat() == before
    code, _, err = dotcount(*words[:-1], "csv")
    assert code == 1
    assert "choose another --out, or set --overwrite" in err
    assert dotcount(*words[:-1], "csv", "--overwrite")[0] == 0
    assert not (tmp_path / "out" / "coco").exists()


def test_names_of_any_bytes_and_length_cost_nothing(dotcount, trained, data, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    image = next((data / "test" / "images").iterdir())
    names = [b"caf\xe9.png", b"n" * 251 + b".png", b"=cmd.png", b"new\nline.png", b"a b\xc3\xa9.png"]
    for name in names:
        shutil.copy(image, os.fsencode(photos) + b"/" + name)
    code, out, err = dotcount("predict", trained, photos, "--out", tmp_path / "out", "--write", "csv,overlays,yolo")
    assert code == 0, err
    assert "5 of 5 images counted" in out
    table = {row["image"]: row for row in rows(tmp_path / "out" / "counts.csv")}
    assert {"caf\\xe9.png", "'=cmd.png", "new\nline.png"} < set(table)
    assert {row["status"] for row in table.values()} == {"ok"}
    assert all(len(os.fsencode(p.name)) <= 255 for p in (tmp_path / "out").rglob("*"))


def test_a_model_no_better_than_the_mean_says_so_once(dotcount, trained, data, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    path = run / "model" / "config.json"
    settings = json.loads(path.read_text())
    said = "No better than always answering the mean count of the training images"
    for verdict, sentence, times in (("no better", f"{said}: off.", 1), ("better", "Better.", 0)):
        settings["validation"] |= {"verdict": verdict, "sentence": sentence}
        path.write_text(json.dumps(settings))
        code, out, err = dotcount("predict", run, data / "test", "--out", tmp_path / verdict, "--no-overlays")
        assert code == 0, err
        assert out.count(said) == times
        assert "images counted" in out.splitlines()[-1]


def photos_with_broken(data, tmp_path, n, broken):
    photos = tmp_path / "photos"
    photos.mkdir()
    source = sorted((data / "train" / "images").iterdir())
    for k in range(n):
        shutil.copy(source[k % len(source)], photos / f"{k}.png")
        if k in broken:
            (photos / f"{k}.png").write_bytes(b"not an image")
    return photos


def test_a_run_stops_once_more_than_the_share_has_failed_and_goes_on_with_a_larger_one(
    dotcount, trained, data, tmp_path
):
    photos, out = photos_with_broken(data, tmp_path, 10, {1, 3, 8}), tmp_path / "out"
    words = ["predict", trained, photos, "--out", out, "--write", "csv", "--max-failures"]
    code, _, err = dotcount(*words, "0.1")
    assert code == 1
    assert err.startswith("dotcount: error: 2 of 10 images failed, more than a share of 0.1; the first: image")
    assert "1.png" in err
    assert not (out / "counts.csv").exists()
    assert 4 <= len((out / "counts.csv.part").read_text().splitlines()) - 1 < 9
    code, printed, err = dotcount(*words, "0.3")
    assert code == 0, err
    assert "images were done by an earlier run" in printed
    assert [row["status"] for row in rows(out / "counts.csv")].count("error") == 3
    code, _, err = dotcount(*words, "0.2")  # a complete run is judged as well
    assert code == 1
    assert "3 of 10 images failed" in err


def test_no_failure_may_be_borne_and_shares_lie_between_0_and_1(dotcount, trained, data, tmp_path):
    photos = photos_with_broken(data, tmp_path, 3, {0})
    words = ["predict", trained, photos, "--out", tmp_path / "out", "--write", "csv", "--max-failures"]
    assert "1 of 3 images failed, more than a share of 0" in dotcount(*words, "0")[2]
    for wrong in ("1.5", "-0.1", "many"):
        code, _, err = dotcount(*words, wrong)
        assert code == 2
        assert "must be a share of the images, from 0 to 1" in err
