import subprocess
import sys

import numpy as np
import scipy.io
from PIL import Image


def test_synth_writes_images_and_dots_that_info_reads(dotcount, tmp_path):
    out = tmp_path / "made-up"
    arguments = ["--train", 3, "--val", 1, "--test", 2, "--size", 64, "--kind", "crowd", "--seed", 4]
    code, printed, err = dotcount("data", "synth", "--out", out, *arguments)
    assert code == 0, err
    assert "6 images" in printed
    code, printed, err = dotcount("data", "info", out)
    assert code == 0, err
    assert "train: 3 images" in printed
    assert "per image" in printed


def test_the_same_seed_gives_the_same_scenes(dotcount, tmp_path):
    for name in "ab":
        words = ["data", "synth", "--out", tmp_path / name, "--train", 2, "--val", 0, "--test", 0, "--size", 64]
        assert dotcount(*words)[0] == 0
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) >= 4
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_synth_refuses_what_it_cannot_do(fails, data, tmp_path):
    assert "exists already" in fails("data", "synth", "--out", data)
    assert "Did you mean 'cells'?" in fails("data", "synth", "--out", tmp_path / "out", "--kind", "cels", code=2)
    assert "too small" in fails("data", "synth", "--out", tmp_path / "out", "--size", 8, code=2)


def test_info_lists_problems_and_says_so_by_its_exit_code(dotcount, folder):
    root = folder({"a.png": [(5, 5)], "b.png": [(500, 5)]})
    code, out, _ = dotcount("data", "info", root)
    assert code == 1
    assert "problem: " in out
    assert "b.png" in out


def test_info_explains_what_is_not_recognised(fails, folder):
    root = folder({"a.png": [(5, 5)]})
    for table in root.glob("*.csv"):
        table.unlink()
    (root / "trees.csv").write_text("image,lon,lat\na.png,8.5,47.1\n")
    (root / "labels.xlsx").write_bytes(b"PK")
    (root / "other.csv").write_text("x,y\n1,2\n")
    message = fails("data", "info", root)
    assert "trees.csv is nearly csv: its columns are map coordinates" in message


def test_info_prints_what_each_format_makes_of_the_files(dotcount, folder):
    root = folder({"a.png": [(5, 5)]})
    for table in root.glob("*.csv"):
        table.unlink()
    (root / "labels.xlsx").write_bytes(b"PK")
    (root / "other.csv").write_text("x,y\n1,2\n")
    (root / "v.mp4").write_bytes(b"x")
    code, out, _ = dotcount("data", "info", root)
    assert code == 1
    assert "1 images; looked at: " in out
    assert "csv_per_image: 1 of 1 files; other.csv: none goes with an image by its name" in out
    assert "labels.xlsx is a spreadsheet: save it as csv" in out
    assert "left out: v.mp4" in out
    assert "to begin: write " in out


def test_what_is_left_out_is_told_and_strict_makes_it_an_error(dotcount, fails, folder, tmp_path):
    root = folder({"a.png": [(5, 5)], "b.png": [(6, 6)]})
    assert dotcount("data", "info", root, "--strict")[0] == 0
    (root / "c.heic").write_bytes(b"x")
    for action in ("info", "check"):
        code, out, _ = dotcount("data", action, root)
        assert code == 0
        assert out.count("left out: c.heic") == 1
        assert dotcount("data", action, root, "--strict")[0] == 1
    assert "left out: c.heic" in fails("data", "convert", root, "--out", tmp_path / "out", "--strict")
    assert not (tmp_path / "out").exists()


def test_a_check_written_among_the_images_is_not_read_as_data(dotcount, folder):
    root = folder({"a.png": [(5, 5)], "b.png": [(6, 6)]})
    assert dotcount("data", "check", root, "--out", root)[0] == 0
    code, out, _ = dotcount("data", "info", root)
    assert code == 0
    assert "2 images" in out
    assert "left out: check.json (written by `dotcount data check`)" in out


def test_looking_at_data_needs_no_torch(data):
    code = (
        "import sys; from dotcount.cli.main import main; code = main(['data', 'info', sys.argv[1]]); "
        "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules; sys.exit(code)"
    )
    subprocess.run([sys.executable, "-c", code, str(data)], timeout=60, check=True)


def test_info_on_a_missing_folder(fails, tmp_path):
    assert "does not exist" in fails("data", "info", tmp_path / "gone")


def test_action_is_required(dotcount):
    code, _, err = dotcount("data")
    assert code == 2
    assert "ACTION" in err


def test_convert_writes_what_reads_the_same(dotcount, data, tmp_path):
    code, out, err = dotcount("data", "convert", data, "--to", "coco", "--out", tmp_path / "coco")
    assert code == 0, err
    assert "written as coco" in out
    before, after = (dotcount("data", "info", place)[1].splitlines()[1:] for place in (data, tmp_path / "coco"))
    assert sorted(before) == sorted(after)


def test_convert_to_an_unknown_format(fails, data, tmp_path):
    line = fails("data", "convert", data, "--to", "cocoa", "--out", tmp_path / "out", code=2)
    assert "Did you mean 'coco'?" in line


def test_check_passes_good_data_and_suggests_where_to_start(dotcount, data, tmp_path):
    code, out, err = dotcount("data", "check", data, "--out", tmp_path / "checked")
    assert code == 0, out + err
    assert "to start from: crop 64 px" in out
    assert sorted(path.name for path in (tmp_path / "checked").iterdir()) == [
        "check.html",
        "check.json",
        "dotcount.json",
    ]


def test_check_finds_errors_and_writes_a_corrected_copy(dotcount, folder, tmp_path):
    dots = {f"{i}.png": [(5 + i, 5), (20, 30), (50, 40)] for i in range(5)}
    root = folder(dots | {"bad.png": [(5, 5), (500, 5), (20, 20)]})
    code, out, _ = dotcount("data", "check", root, "--fix", tmp_path / "fixed")
    assert code == 1
    assert "error: " in out
    assert "bad.png" in out
    assert "corrected copy" in out
    code, out, err = dotcount("data", "check", tmp_path / "fixed")
    assert code == 0, out + err


def test_split_writes_a_manifest_that_is_used_from_then_on(dotcount, folder, tmp_path):
    root = folder({f"plate{i}_{j}.png": [(5, 5)] for i in range(6) for j in "ab"})
    words = ["data", "split", root, "--by", r"plate(\d)", "--shares", "train=0.5,test=0.5", "--seed", 1]
    code, out, err = dotcount(*words)
    assert code == 0, err
    assert "train 6 images" in out
    assert "test 6 images" in out
    assert "splits from splits.csv" in dotcount("data", "info", root)[1]
    assert "exists already" in dotcount(*words)[2]


def test_split_refuses_shares_that_make_no_sense(dotcount, folder):
    root = folder({f"{i}.png": [(5, 5)] for i in range(4)})
    assert dotcount("data", "split", root, "--shares", "train")[0] == 2
    code, _, err = dotcount("data", "split", root, "--shares", "train=0.9,test=0.9")
    assert code == 2
    assert "add up to 1" in err
    assert not (root / "splits.csv").exists()


def test_one_class_is_kept_where_one_is_asked_for(dotcount, fails, folder):
    root = folder({"a.png": None, "b.png": None})
    (root / "dots.csv").write_text("image,x,y,class\na.png,3,4,live\na.png,9,9,dead\nb.png,9,9,dead\n")
    code, out, _ = dotcount("data", "info", root, "--class", "live")
    assert code == 0
    assert "2 images, 1 dots; per image 0 to 1" in out
    assert "no dots of class 'lve'. Did you mean 'live'?" in fails("data", "info", root, "--class", "lve", code=2)


def test_info_tells_a_benchmarks_protocol(dotcount, tmp_path):
    (tmp_path / "Train").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "Train/img_0001.jpg")
    scipy.io.savemat(tmp_path / "Train/img_0001_ann.mat", {"annPoints": np.ones((2, 2))})
    _, out, _ = dotcount("data", "info", tmp_path)
    assert "images in training and use: enlarged to a shorter side of at least 512 px and shrunk" in out
    assert "protocol: " in out
    assert "please cite: Idrees" in out
