"""Decisions and the corrected copy: exactly what was accepted is done, and the data stays as it is."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from dotcount.audit import Suspicion, read_decisions, write_corrected, write_suspicions
from dotcount.data import Record, convert, open_collection
from dotcount.data.records import Collection
from dotcount.errors import DataError
from dotcount.points import Points

DOTS = [(10.25, 10.5), (30.5, 12.0), (20.0, 30.75)]
ACCEPTED = [
    Suspicion("a.png", "spurious", 0.9, 0, DOTS[0]),
    Suspicion("a.png", "misplaced", 0.8, 2, DOTS[2], (25.5, 33.25)),
    Suspicion("a.png", "missing", 0.7, None, (40.5, 8.25)),
]


@pytest.fixture
def collection(tmp_path):
    def build(format="csv", classes=()):
        records = []
        for name in ("a.png", "b.png"):
            Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / name)
            records.append(Record(tmp_path / name, name, Points(DOTS, 60, 40), classes=classes))
        return open_collection(convert(Collection(tmp_path, "made", format, tuple(records)), tmp_path / "data", format))

    return build


def dots(folder, name="a.png"):
    return sorted(map(tuple, next(r for r in open_collection(folder).records if r.name == name).points.xy.tolist()))


@pytest.mark.parametrize("format", ["csv", "coco", "labelme", "via"])
def test_the_copy_is_in_the_format_of_the_data_and_the_data_is_untouched(collection, tmp_path, format):
    data = collection(format)
    before = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in (tmp_path / "data").rglob("*") if p.is_file()}
    changes = write_corrected(data, ACCEPTED, tmp_path / "out")
    assert open_collection(tmp_path / "out").format == data.format
    np.testing.assert_allclose(dots(tmp_path / "out"), [(25.5, 33.25), (30.5, 12.0), (40.5, 8.25)], atol=0.02)
    np.testing.assert_allclose(dots(tmp_path / "out", "b.png"), sorted(DOTS), atol=0.02)
    assert changes == (tmp_path / "out" / "changes.txt").read_text(encoding="utf-8").splitlines()
    assert len(changes) == 3
    assert {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in before} == before


def test_what_is_written_is_read_back_and_decides(collection, tmp_path):
    data, table = collection(), tmp_path / "suspicions.csv"
    write_suspicions(table, [*ACCEPTED, Suspicion("b.png", "exchanged", 0.5, other="a.png")])
    assert read_decisions(table) == []
    lines = table.read_text(encoding="utf-8").splitlines()
    answers = ["yes", "no", "x", "Yes"]
    table.write_text("\n".join([lines[0], *(f"{line}{a}" for line, a in zip(lines[1:], answers))]), encoding="utf-8")
    accepted = read_decisions(table)
    assert [(s.image, s.kind) for s in accepted] == [
        ("a.png", "spurious"),
        ("a.png", "missing"),
        ("b.png", "exchanged"),
    ]
    assert accepted[0] == ACCEPTED[0]
    write_corrected(data, accepted, tmp_path / "out")
    assert dots(tmp_path / "out") == [(20.0, 30.75), (30.5, 12.0), (40.5, 8.25)]
    assert dots(tmp_path / "out", "b.png") == sorted(DOTS)  # what was a.png's before it was corrected


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("a.png,spurious,0.9,1,10,10,,,,perhaps", "line 2: accept is 'perhaps'"),
        ("a.png,odd,0.9,1,10,10,,,,yes", "line 2: kind 'odd'"),
        ("a.png,spurious,0.9,,10,10,,,,yes", "line 2: dot is empty"),
        ("a.png,spurious,0.9,one,10,10,,,,yes", "line 2: .*'one'"),
        ("a.png,misplaced,0.9,1,10,10,,,,yes", "line 2: to_x is empty"),
    ],
)
def test_a_table_that_is_not_understood_is_refused(tmp_path, row, told):
    table = tmp_path / "decided.csv"
    table.write_text(f"image,kind,score,dot,x,y,to_x,to_y,other,accept\n{row}\n", encoding="utf-8")
    with pytest.raises(DataError, match=told):
        read_decisions(table)


def test_a_table_without_decisions_is_refused(tmp_path):
    (tmp_path / "dots.csv").write_text("image,x,y\na.png,1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="lacks the column kind"):
        read_decisions(tmp_path / "dots.csv")


@pytest.mark.parametrize(
    ("accepted", "told"),
    [
        ([Suspicion("a.png", "spurious", 0.9, 0, (11.0, 10.5))], "dot 1 of image a.png is not where"),
        ([Suspicion("a.png", "spurious", 0.9, 7, DOTS[0])], "dot 8 of image a.png is not where"),
        ([ACCEPTED[0], ACCEPTED[0]], "two corrections of dot 1"),
        ([Suspicion("c.png", "missing", 0.9, place=(1.0, 1.0))], "no image 'c.png'"),
        ([Suspicion("a.png", "exchanged", 0.9, other="c.png")], "no image 'c.png'"),
        ([ACCEPTED[0], Suspicion("a.png", "exchanged", 0.9, other="b.png")], "accept nothing else"),
    ],
)
def test_corrections_of_other_data_are_refused_and_nothing_is_written(collection, tmp_path, accepted, told):
    with pytest.raises(DataError, match=told):
        write_corrected(collection(), accepted, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_classes_stay_with_their_dots_and_are_never_guessed(collection, tmp_path):
    data = collection("coco", ("cat", "dog", "cat"))
    changes = write_corrected(data, ACCEPTED, tmp_path / "out")
    record = next(r for r in open_collection(tmp_path / "out").records if r.name == "a.png")
    assert record.classes == ("dog", "cat")
    assert [line for line in changes if "not done" in line]
