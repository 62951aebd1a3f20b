import re

import numpy as np
import pytest

from dotcount.cli.predict import OUTPUTS
from dotcount.data.formats import FORMATS
from dotcount.data.formats.base import Sidecar
from dotcount.errors import DataError, UsageError
from dotcount.points import Points
from dotcount.prediction.sinks import SINKS, create_sink, record_of, writable

XY = ((1.5, 2.5), (10.5, 6.5))


def test_the_adapter_keeps_name_size_and_points(frame):
    record = record_of(*frame("a/b.png", xy=XY))
    assert (record.name, record.count) == ("a/b.png", 2)
    assert isinstance(record.points, Points)
    assert (record.points.width, record.points.height) == (12, 8)
    np.testing.assert_array_equal(record.points.xy, XY)


@pytest.mark.parametrize("name", [name for name in writable() if name not in SINKS])
def test_every_format_that_can_be_written_is_an_output_that_reads_back(frame, write, name):
    out = write(name, frame("a.png", xy=XY), frame("b.png", xy=()), frame("c.png", xy=XY[:1]))
    form = FORMATS.create(name)
    if isinstance(form, Sidecar):
        (path,) = [p for p in (out / name).rglob("*") if p.is_file() and p.name.startswith("a")]
        got = form.read(path, 12, 8).xy
    else:
        path = out / name / form.filename
        got = dict(form.read(path))["a.png"].read(12, 8).xy
        assert [p.name for p in (out / name).iterdir()] == [form.filename]
    assert sorted(map(tuple, got)) == [pytest.approx(xy, abs=0.51) for xy in sorted(XY)]


def test_images_that_would_share_a_file_are_told(frame, write):
    with pytest.raises(DataError, match=r"share the file a\.txt with a\.png"):
        write("yolo", frame("a.png"), frame("a.jpg"))


def test_unknown_and_unwritable_names():
    with pytest.raises(UsageError, match="Did you mean 'coco'"):
        create_sink("cocoo")
    unwritable = [name for name in FORMATS if name not in writable()]
    assert unwritable
    with pytest.raises(UsageError, match="only be read"):
        create_sink(unwritable[0])


def test_the_help_names_outputs_that_exist():
    assert set(re.findall(r"\b[a-z_]+(?=[,.] |, \.)", OUTPUTS.split(": ")[1])) <= set(writable())
    assert set(SINKS) <= set(re.findall(r"[a-z0-9]+", OUTPUTS))
