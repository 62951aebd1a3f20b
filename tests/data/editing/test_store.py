"""Changing dots in a data set's own files: what is kept, what is refused, what a crash leaves."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dotcount.data import convert, open_collection
from dotcount.data.editing import ConflictError, Edit, open_annotations, pending
from dotcount.data.formats import FORMATS
from dotcount.data.synthetic import write_dataset
from dotcount.errors import DataError, DotcountError, InputError, OutputError, UsageError
from dotcount.files import write_text

EDITABLE = (
    ["coco", "csv", "csv_per_image", "cvat", "dotdotgoose", "geojson", "imagej", "jsonl", "label_studio"]
    + ["labelme", "mat", "napari", "via", "voc"]
)  # fmt: skip


def add(number: int, x: float, y: float, label: str = "", negative: bool = False) -> Edit:
    return Edit("add", number, x, y, label, negative)


def change(annotations, name: str, *edits: Edit):
    return annotations.edit(name, annotations.marks(name).version, edits)


@pytest.fixture
def photos(tmp_path):
    for name in ("a", "b", "c"):
        Image.new("L", (640, 480)).save(tmp_path / f"{name}.png")
    return tmp_path


def dots_of(folder: Path) -> dict[str, list[tuple[float, float]]]:
    records = open_collection(folder, strict=False).annotated().records
    return {r.name: sorted(map(tuple, r.points.xy.round(2).tolist())) for r in records}


def test_a_fresh_folder_gets_a_table(photos):
    with open_annotations(photos) as annotations:
        assert "dots will be written to" in annotations.note
        change(annotations, "a.png", add(0, 1.5, 2.5), add(1, 7, 8.25))
        change(annotations, "a.png", Edit("move", 0, 3, 4))
        change(annotations, "b.png", Edit("empty", value=True))
    assert dots_of(photos) == {"a.png": [(3, 4), (7, 8.25)], "b.png": []}
    assert pending(photos) == 0
    # A dot that was removed does not make an image one that holds nothing.
    with open_annotations(photos) as annotations:
        change(annotations, "a.png", Edit("delete", 0), Edit("delete", 1))
        change(annotations, "b.png", Edit("empty", value=False))
    with open_annotations(photos) as annotations:
        assert not any(annotations.marks(name).annotated for name in annotations.images)


@pytest.mark.parametrize("format", EDITABLE)
def test_dots_are_changed_in_the_own_format(format, tmp_path):
    source = open_collection(write_dataset(tmp_path / "source", train=2, val=1, test=0, size=64, seed=3))
    folder = convert(source, tmp_path / "own", format)
    before = dots_of(folder)
    with open_annotations(folder) as annotations:
        assert annotations.format.name == format
        name = next(iter(annotations.images))
        marks = annotations.marks(name)
        first = marks.by_number[0]
        annotations.edit(name, marks.version, [Edit("delete", 0), add(999, 12.25, 20.5)])
    after = dots_of(folder)
    wanted = sorted([xy for xy in before[name] if xy != (round(first.x, 2), round(first.y, 2))] + [(12.25, 20.5)])
    np.testing.assert_allclose(after[name], wanted, atol=0.011)
    assert {k: v for k, v in after.items() if k != name} == {k: v for k, v in before.items() if k != name}
    assert open_collection(folder, strict=False).format == format


def test_every_format_is_changed_or_refused(tmp_path):
    """A new format belongs to one of the two lists."""
    source = open_collection(write_dataset(tmp_path / "source", train=2, val=0, test=0, size=64))
    for format in FORMATS:
        if not FORMATS.create(format).writable or format in EDITABLE:
            continue
        folder = convert(source, tmp_path / format, format)
        with pytest.raises(UsageError, match="data convert"):
            open_annotations(folder)


def test_what_would_be_lost_is_refused(photos):
    rows = "image,x,y,age\na.png,1.5,2,7\n"
    (photos / "dots.csv").write_text(rows)
    with open_annotations(photos) as annotations:
        with pytest.raises(DataError, match=r"the column age.*data convert"):
            change(annotations, "a.png", add(5, 1, 1))
        assert len(annotations.marks("a.png").dots) == 1  # to be looked at
    assert (photos / "dots.csv").read_text() == rows
    (photos / "dots.csv").write_text("image,xmin,ymin,xmax,ymax\na.png,1,2,5,9\n")
    with open_annotations(photos) as annotations, pytest.raises(DataError, match="boxes"):
        change(annotations, "a.png", add(5, 1, 1))


def test_dots_that_are_not_finite_or_outside(photos):
    (photos / "dots.csv").write_text("image,x,y\na.png,1.5,2\nb.png,nan,2\n")
    with open_annotations(photos) as annotations:
        assert annotations.images["b.png"].trouble.endswith("correct or remove it")
        with pytest.raises(DataError, match="not finite"):
            change(annotations, "a.png", add(5, 1, 1))
    (photos / "dots.csv").write_text("image,x,y\na.png,1.5,2\nb.png,999,2.5\n")
    with open_annotations(photos) as annotations:
        change(annotations, "b.png", Edit("move", 0, 600, 2.5))  # which puts it right
    assert dots_of(photos) == {"a.png": [(1.5, 2)], "b.png": [(600, 2.5)]}


def test_boxes_of_coco_are_refused(photos):
    content = {
        "images": [{"id": 7, "file_name": "a.png", "width": 640, "height": 480}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [10, 20, 30, 40]}],
        "categories": [{"id": 1, "name": "cell"}],
    }
    (photos / "coco.json").write_text(json.dumps(content))
    with open_annotations(photos) as annotations, pytest.raises(DataError, match="bbox"):
        change(annotations, "a.png", add(5, 1, 1))


def test_pixels_of_a_table_become_positions(photos):
    (photos / "dots.csv").write_text("image,x,y\na.png,10,20\n")
    with open_annotations(photos) as annotations:
        change(annotations, "a.png", add(1, 3.5, 4))
    assert dots_of(photos) == {"a.png": [(3.5, 4), (10.5, 20.5)]}
    kept = photos / ".dotcount" / "before" / "dots.csv"
    assert kept.read_text() == "image,x,y\na.png,10,20\n"


def test_two_people_on_one_image(photos):
    with open_annotations(photos) as annotations:
        mine = yours = annotations.marks("a.png").version
        annotations.edit("a.png", mine, [add(0, 1, 1)])
        with pytest.raises(ConflictError, match="changed elsewhere"):
            annotations.edit("a.png", yours, [add(0, 2, 2)])
        with pytest.raises(OutputError, match="another annotator"):
            open_annotations(photos)
    assert dots_of(photos) == {"a.png": [(1, 1)]}


def test_another_program_changes_the_file(photos):
    with open_annotations(photos) as annotations:
        loaded = change(annotations, "a.png", add(0, 1, 1)).version
        annotations.flush()
        write_text(photos / "dots.csv", "image,x_px,y_px\na.png,1,1\na.png,50,60\nb.png,5,5\n")
        with pytest.raises(ConflictError):  # who had loaded the image before is told
            annotations.edit("a.png", loaded, [add(1, 3, 3)])
        change(annotations, "a.png", add(9, 2, 2))
        assert len(annotations.marks("b.png").dots) == 1
        annotations.flush()
        write_text(photos / "dots.csv", "image,x_px,y_px\nc.png,1,1\n./a.png,1,1\na.png,50,60\n")
        with pytest.raises(DataError, match="more than once"):
            annotations.marks("a.png")
        write_text(photos / "dots.csv", "image,x_px,y_px\na.png,1,1\na.png,2,2\na.png,50,60\nb.png,5,5\n")
        change(annotations, "b.png", Edit("move", 0, 6, 6))
    assert dots_of(photos) == {"a.png": [(1, 1), (2, 2), (50, 60)], "b.png": [(6, 6)]}


def test_negative_dots_are_no_objects(photos):
    with open_annotations(photos) as annotations:
        change(annotations, "a.png", add(0, 1, 1), add(1, 9, 9, negative=True))
    with open_annotations(photos) as annotations:
        assert [(m.x, m.y) for m in annotations.marks("a.png").negatives] == [(9, 9)]
    assert dots_of(photos) == {"a.png": [(1, 1)]}


def test_classes(photos):
    with open_annotations(photos, "jsonl") as annotations:
        change(annotations, "a.png", add(0, 1, 1, "live"), add(1, 2, 2))
        change(annotations, "a.png", Edit("class", 1, label="dead"))
    (record,) = open_collection(photos, strict=False).annotated().records
    assert record.classes == ("live", "dead")


def test_a_format_without_classes_refuses_them(photos):
    with open_annotations(photos, "napari") as annotations:
        with pytest.raises(InputError, match="keeps no classes"):
            change(annotations, "a.png", add(0, 1, 1, "live"))
        change(annotations, "a.png", add(0, 1, 1))
    assert dots_of(photos) == {"a.png": [(1, 1)]}


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ([Edit("delete", 4)], "no mark of the number 4"),
        ([add(0, 640, 3)], "outside"),
        ([add(0, -0.01, 3)], "outside"),
        ([add(0, 1, 1), Edit("empty", value=True)], "has dots"),
        ([add(0, 1, 1), add(0, 2, 2)], "there is a mark"),
    ],
)
def test_edits_that_make_no_sense_change_nothing(photos, edits, words):
    with open_annotations(photos) as annotations:
        with pytest.raises(InputError, match=words):
            change(annotations, "a.png", *edits)
        assert not annotations.marks("a.png").annotated
    assert not (photos / "dots.csv").exists()


@pytest.mark.parametrize(
    "content",
    [
        None, {}, {"op": "paint"}, {"op": "add", "id": -1}, {"op": "add", "id": True}, {"op": "add", "x": float("nan")},
        {"op": "add", "x": "1"}, {"op": "class", "class": 3}, {"op": "class", "class": "a\nb"},
        {"op": "add", "negative": 1}, {"op": "class", "class": "x" * 200},
    ],
)  # fmt: skip
def test_edits_of_the_wrong_form(content):
    with pytest.raises(InputError):
        Edit.parse(content)


def test_unreadable_images_and_tables(photos):
    (photos / "b.png").write_bytes(b"no image")
    with open_annotations(photos) as annotations:
        change(annotations, "a.png", add(0, 1, 1))
        with pytest.raises(DataError, match=r"b\.png"):
            annotations.marks("b.png")
    (photos / "dots.csv").write_text("image,x,y\ngone.png,1.5,1\n")
    with pytest.raises(DataError, match=r"gone\.png"):
        open_annotations(photos)


def test_unknown_files_beside_the_images_are_not_passed_over(photos):
    (photos / "a.json").write_text('{"what": 1}')
    with pytest.raises(DataError):
        open_annotations(photos)
    with open_annotations(photos, "csv") as annotations:
        change(annotations, "a.png", add(0, 1, 1))


def test_benchmarks_are_refused(tmp_path):
    for k in range(1, 4):
        Image.new("RGB", (256, 256)).save(tmp_path / f"{k:03d}cell.png")
        dots = Image.new("RGB", (256, 256))
        dots.putpixel((5, 5), (255, 0, 0))
        dots.save(tmp_path / f"{k:03d}dots.png")
    with pytest.raises(DotcountError, match="data convert"):
        open_annotations(tmp_path)


def test_a_change_that_can_not_be_written_is_no_change(photos, monkeypatch):
    with open_annotations(photos) as annotations:
        change(annotations, "a.png", add(0, 1, 1))
        annotations.flush()
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            with pytest.raises(OutputError, match="no space"):
                change(annotations, "a.png", add(1, 2, 2))
        change(annotations, "a.png", add(1, 3, 3))
    assert dots_of(photos) == {"a.png": [(1, 1), (3, 3)]}


def full(_handle):
    import errno

    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_journal_is_carried_out_when_opened_and_told_before(photos):
    with open_annotations(photos) as annotations:
        change(annotations, "a.png", add(0, 1, 1), add(1, 5, 5))
    folder = photos / ".dotcount"
    lines = [
        {"image": "a.png", "places": [[2.0, 2.0, "", 0, 1], [1.0, 1.0, "", 0, 0]]},
        {"image": "b.png", "places": [], "empty": True},
    ]
    whole = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "journal.jsonl").write_text(whole + '{"image": "a.png", "pla')  # the last was not confirmed
    assert "2 changes" in open_collection(photos, strict=False).note
    for _ in range(2):  # carried out again, as after a crash before the journal was emptied, it changes nothing
        with open_annotations(photos) as annotations:
            assert "2 changes" in annotations.note
        assert dots_of(photos) == {"a.png": [(2, 2), (5, 5)], "b.png": []}
        (folder / "journal.jsonl").write_text(whole)


def kill_while_clicking(folder: Path, times: int, longest: float) -> None:
    """Kill a process that adds dots, again and again; every dot that it has confirmed is there."""
    generator = random.Random(7)
    confirmed: set[int] = set()
    first = 0
    for _ in range(times):
        command = [sys.executable, str(Path(__file__).with_name("clicker.py")), str(folder), str(first)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(generator.uniform(0, longest))
        process.kill()
        told = [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        process.wait()
        confirmed.update(told)
        first = max(confirmed, default=0) + 1000
        if (folder / "dots.csv").exists():  # what a killed process leaves can be read as it is
            open_collection(folder, strict=False)
        with open_annotations(folder) as annotations:
            there = [(m.x, m.y) for name in annotations.images for m in annotations.marks(name).dots]
        assert len(there) == len(set(there))
        assert {(1 + k % 600, 1 + k // 600) for k in confirmed} <= set(there)
    assert len(confirmed) > times


def test_killed_while_clicking(photos):
    kill_while_clicking(photos, times=3, longest=0.4)


@pytest.mark.slow
def test_killed_fifty_times_while_clicking(photos):
    kill_while_clicking(photos, times=50, longest=1.0)
