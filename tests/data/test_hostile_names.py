"""Names in downloaded data that would be written elsewhere: nothing outside of the folder asked for is ever touched."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dotcount.cli.main import main

from .layouts import picture

NAMES = [
    *("../victim", "../../victim", "a/../../../victim", "..", "a/..", ".", "./victim", "..\\victim", "a\\..\\..\\x"),
    *("/tmp/dotcount-victim", "//server/share", "C:\\victim", "C:victim", "c:/victim", "\\\\server\\x", "~/../victim"),
    *("victim\x00", "vic\ntim", "\x1b[31m", "con", "NUL", "aux.txt", "COM1", "lpt9.x", "x" * 300, "ü" * 200),
    *(
        "a/" * 2000 + "b",
        " ",
        "=cmd|' /C calc'!A0",
        "-rf",
        "@x",
        "victim\u202egnp.",
        "..\u2215victim",
        "$(touch victim)",
    ),
]
WAYS = ("splits.csv", "jsonl", "folder of a list")


def sets(root: Path) -> Iterator[tuple[Path, str]]:
    """Make data sets in which a hostile name stands where data may name something."""
    for number, (name, way) in enumerate(itertools.product(NAMES, WAYS)):
        data = root / f"set{number}"
        picture(data / "a.png")
        picture(data / "b.png", seed=1)
        if way == "splits.csv":
            (data / "dots.csv").write_text("image,x,y\na.png,1.5,2\nb.png,3,4.5\n")
            quoted = name.replace('"', '""')
            (data / "splits.csv").write_text(f'image,split\na.png,"{quoted}"\nb.png,train\n')
        elif way == "jsonl":
            lines = [{"image": "a.png", "points": [[1.5, 2]], "split": name}, {"image": "b.png", "points": []}]
            (data / "dots.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        else:
            lines = [{"image": f"{name}/a.png", "points": [[1.5, 2]]}, {"image": "b.png", "points": []}]
            (data / "dots.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        yield data, way


def state(root: Path) -> dict[str, object]:
    """Return what lies below a folder, with the content of files."""
    found: dict[str, object] = {}
    for folder, folders, files in os.walk(root):
        for name in files:
            path = Path(folder) / name
            found[str(path)] = path.read_bytes() if path.is_file() else path.readlink()
        found |= dict.fromkeys(str(Path(folder) / name) for name in folders)
    return found


def test_nothing_is_written_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "deep/er"
    place.mkdir(parents=True)
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/a.png").write_bytes(b"precious")
    made = list(sets(place / "in"))
    assert len(made) >= 100
    out = place / "results"
    out.mkdir()
    before = state(tmp_path)
    for number, (data, _) in enumerate(made):
        mine = out / str(number)
        mine.mkdir()
        verbs = [
            ["convert", str(data), "--to", ("csv", "yolo", "coco")[number % 3], "--out", str(mine / "converted")],
            ["check", str(data), "--fix", str(mine / "fixed")],
            ["split", str(data), "--shares", "train=0.5,test=0.5", "--out", str(mine / "splits.csv")],
        ]
        for verb in verbs:
            code = main(["data", *verb])
            said = capsys.readouterr()
            assert code in (0, 1)
            assert "this may be a defect" not in said.err
            assert "Traceback" not in said.err
        for path in mine.rglob("*"):
            assert path.resolve().is_relative_to(mine.resolve())
    after = state(tmp_path)
    changed = {path for path in after if after[path] != before.get(path, 0)} | (set(before) - set(after))
    assert [path for path in changed if not Path(path).is_relative_to(out)] == []


def test_links_in_data_are_not_written_through(tmp_path: Path) -> None:
    data = tmp_path / "data"
    picture(data / "a.png")
    (data / "dots.csv").write_text("image,x,y\na.png,1.5,2\n")
    (tmp_path / "victim").write_text("precious")
    for name in ("splits.csv.tmp", "converted.tmp", ".splits.csv.tmp"):
        (data / name).symlink_to(tmp_path / "victim")
    assert main(["data", "split", str(data), "--shares", "train=1.0"]) == 0
    (data / "splits.csv").unlink()
    (data / "splits.csv").symlink_to(tmp_path / "elsewhere")
    assert main(["data", "split", str(data), "--shares", "train=1.0"]) == 0
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "elsewhere").exists()


def test_two_images_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "one/a.png"):
        picture(tmp_path / f"data/{name}")
    (tmp_path / "data/dots.csv").write_text("image,x,y\na.png,1.5,2\none/a.png,3,4.5\n")
    (tmp_path / "data/splits.csv").write_text("image,split\na.png,one\none/a.png,two\n")
    assert main(["data", "convert", str(tmp_path / "data"), "--out", str(tmp_path / "fine")]) == 0
    (tmp_path / "data/splits.csv").write_text("image,split\na.png,one\n")
    main(["data", "check", str(tmp_path / "data"), "--fix", str(tmp_path / "out")])
    assert "would both be written as one/a.png" in capsys.readouterr().err


def test_a_converted_copy_below_the_data_is_not_read_again(tmp_path: Path) -> None:
    from dotcount.data import open_collection

    picture(tmp_path / "a.png")
    (tmp_path / "dots.csv").write_text("image,x,y\na.png,1.5,2\n")
    assert main(["data", "convert", str(tmp_path), "--out", str(tmp_path / "copy")]) == 0
    collection = open_collection(tmp_path)
    assert [r.name for r in collection.records] == ["a.png"]
    assert collection.left_out[0].reason == "copies of these images, written by `dotcount data convert`"
    assert open_collection(tmp_path / "copy").n_dots == 1
