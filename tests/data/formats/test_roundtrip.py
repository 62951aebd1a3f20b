"""Every format that can be written gives back what it was given, to its own precision, and is recognised."""

from __future__ import annotations

import base64
import io
import zlib
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dotcount.data import Collection, Record, convert, open_collection
from dotcount.data.formats import FORMATS, Sidecar, Table
from dotcount.errors import AnnotationError, DataError, UsageError
from dotcount.files import MARKER
from dotcount.geo import Georeference, write_geopackage
from dotcount.points import Points

from ..layouts import picture

WRITABLE = [name for name in FORMATS if FORMATS.create(name).writable]
# Largest error a format's own precision allows, px. ImageJ stores float32; a dot mask keeps the pixel only.
PRECISION = dict.fromkeys(WRITABLE, 1e-9) | {"imagej": 1e-4, "dot_mask": 0.5}
WITH_CLASSES = ("coco", "csv", "csv_per_image", "cvat", "geojson", "jsonl", "label_studio", "labelme", "via", "voc")


def collection_of(root: Path, dots: dict[str, np.ndarray], width: int = 40, height: int = 30) -> Collection:
    records = tuple(
        Record(picture(root / name, width, height), name, Points(xy, width, height)) for name, xy in dots.items()
    )
    return Collection(root, root.name, "test", records)


def spread(n: int, width: int, height: int, seed: int = 0) -> np.ndarray:
    """Dots in n different pixels, so that a dot mask can hold them."""
    rng = np.random.default_rng(seed)
    cells = rng.choice(width * height, n, replace=False)
    return np.stack([cells % width, cells // width], axis=1) + rng.uniform(0.01, 0.99, (n, 2))


def by_position(xy: np.ndarray) -> np.ndarray:
    return xy[np.lexsort(np.floor(xy).T)]


@pytest.mark.parametrize("format", WRITABLE)
def test_write_then_read_is_the_identity(tmp_path: Path, format: str) -> None:
    names = ["a.png", "b c.PNG", "sub folder/übung 文.jpg", "x.y.png"]
    dots = {name: spread(n, 40, 30, seed=n) for name, n in zip(names, (0, 1, 7, 30))}
    out = convert(collection_of(tmp_path / "in", dots), tmp_path / "out", format)
    for found in (open_collection(out, format=format), open_collection(out)):
        assert found.format == format
        assert {r.name for r in found.records} == set(names)
        for record in found.records:
            assert record.points is not None
            got, expected = by_position(record.points.xy), by_position(dots[record.name])
            assert got.shape == expected.shape
            np.testing.assert_allclose(got, expected, rtol=0, atol=PRECISION[format])


@pytest.mark.parametrize("format", WRITABLE)
def test_ten_thousand_dots(tmp_path: Path, format: str) -> None:
    xy = spread(10_000, 300, 200)
    out = convert(collection_of(tmp_path / "in", {"a.png": xy}, 300, 200), tmp_path / "out", format)
    points = open_collection(out, format=format).records[0].points
    assert points is not None
    np.testing.assert_allclose(by_position(points.xy), by_position(xy), rtol=0, atol=PRECISION[format])


@pytest.mark.parametrize("format", [*WITH_CLASSES, "yolo", "imagej"])
def test_classes_are_kept(tmp_path: Path, format: str) -> None:
    source = collection_of(tmp_path / "in", {"images/a.png": spread(4, 40, 30), "images/b.png": spread(3, 40, 30)})
    first, second = source.records
    named = (
        Record(first.image, first.name, first.points, classes=("live", "dead", "live", "dead")),
        Record(second.image, second.name, second.points, classes=("dead", "rare", "dead")),
    )
    found = open_collection(convert(source.where(named), tmp_path / "out", format))
    for record, expected in zip(found.records, named):
        assert record.points is not None
        assert expected.points is not None
        order = [int(np.abs(record.points.xy - p).sum(axis=1).argmin()) for p in expected.points.xy]
        got = [record.classes[k] for k in order]
        if format == "imagej":  # which knows counters, not names
            assert [len(set(got)), got[0] == got[2]] == [2, True]
        else:
            assert tuple(got) == expected.classes


def test_splits_survive_where_folders_do_not_show_them(tmp_path: Path) -> None:
    source = collection_of(tmp_path / "in", {"images/a.png": spread(2, 40, 30), "test/b.png": spread(1, 40, 30)})
    records = (
        Record(source.records[0].image, "images/a.png", source.records[0].points, "train"),
        Record(source.records[1].image, "test/b.png", source.records[1].points, "test"),
    )
    for format in ("csv", "yolo"):
        found = open_collection(convert(source.where(records), tmp_path / format, format))
        assert {(r.name, r.split, r.count) for r in found.records} == {
            ("train/images/a.png", "train", 2),
            ("test/b.png", "test", 1),
        }


def test_images_can_be_linked_or_left(tmp_path: Path) -> None:
    source = collection_of(tmp_path / "in", {"a.png": spread(2, 40, 30)})
    linked = convert(source, tmp_path / "linked", "coco", images="link")
    assert (linked / "a.png").is_symlink()
    assert open_collection(linked).n_dots == 2
    bare = convert(source, tmp_path / "bare", "coco", images="none")
    assert sorted(p.name for p in bare.iterdir()) == ["annotations.json", "dotcount.json"]


def test_what_a_format_can_not_hold_is_refused(tmp_path: Path) -> None:
    twice = collection_of(tmp_path / "in", {"a.png": np.array([[1.2, 1.2], [1.7, 1.7]])})
    with pytest.raises(AnnotationError, match="two in one pixel"):
        convert(twice, tmp_path / "out", "dot_mask")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="can only be read"):
        convert(twice, tmp_path / "out", "instance_mask")
    with pytest.raises(UsageError, match=r"Did you mean 'coco'\?"):
        convert(twice, tmp_path / "out", "coc")
    same = collection_of(tmp_path / "in2", {"a.png": spread(1, 40, 30), "a.jpg": spread(1, 40, 30)})
    with pytest.raises(DataError, match=r"would share the file a\.txt"):
        convert(same, tmp_path / "out", "yolo")
    with pytest.raises(DataError, match="no annotated image"):
        convert(same.where([]), tmp_path / "out", "yolo")


def _bitmap() -> bytes:
    file = io.BytesIO()
    Image.new("L", (4, 3), 255).save(file, "PNG")
    return base64.b64encode(zlib.compress(file.getvalue()))


_BITMAP = _bitmap()
SAMPLES: dict[str, bytes] = {  # of formats that are only read
    "cell_counter": b"<CellCounter_Marker_File><Image_Properties><Image_Filename>a.png</Image_Filename>"
    b"</Image_Properties><Marker_Data><Marker_Type><Type>1</Type><Marker><MarkerX>3</MarkerX><MarkerY>4</MarkerY>"
    b"<MarkerZ>1</MarkerZ></Marker></Marker_Type></Marker_Data></CellCounter_Marker_File>",
    "aperio": b'<Annotations><Annotation Name="c"><Regions><Region Type="0"><Vertices><Vertex X="2" Y="3"/>'
    b'<Vertex X="8" Y="3"/><Vertex X="8" Y="9"/></Vertices></Region><Region Type="2"><Vertices>'
    b'<Vertex X="20" Y="9"/><Vertex X="24" Y="12"/></Vertices></Region></Regions></Annotation></Annotations>',
    "cellprofiler": b"ImageNumber,ObjectNumber,Location_Center_X,Location_Center_Y\n1,1,3,4\n",
    "createml": b'[{"image": "a.png", "annotations": [{"label": "c", "coordinates": {"x": 3, "y": 4, "width": 2, '
    b'"height": 2}}]}]',
    "gwhd": b"image_name,BoxesString,domain\na.png,2 3 8 9;20 10 30 14,x\n",
    "json_points": b'{"a.png": {"points": [[3, 4.5], [9, 8]], "count": 2}}',
    "json_points_per_image": b'{"img_id": "a.png", "points": [[3, 4.5], [9, 8]], "human_num": 2}',
    "supervisely": b'{"size": {"width": 40, "height": 30}, "objects": [{"geometryType": "point", "classTitle": "c", '
    b'"points": {"exterior": [[3, 4.5]], "interior": []}}, {"geometryType": "bitmap", "bitmap": {"origin": [5, 6], '
    b'"data": "' + _BITMAP + b'"}}]}',
    "trackmate": b'<TrackMate><Model><AllSpots><SpotsInFrame frame="0"><Spot POSITION_X="3" POSITION_Y="4" FRAME="0"/>'
    b'</SpotsInFrame></AllSpots></Model><Settings><ImageData filename="a.png" width="40" height="30" pixelwidth="1.0" '
    b'pixelheight="1.0"/></Settings></TrackMate>',
    "trackmate_spots": b"LABEL,QUALITY,POSITION_X,POSITION_Y,FRAME\nLabel,Quality,X,Y,Frame\nLabel,Quality,X,Y,Frame\n"
    b",(quality),(pixel),(pixel),\nID1,3.2,10,20.5,0\n",
    "qupath": b"Image\tObject type\tCentroid X px\tCentroid Y px\na.png\tCell\t3.5\t4.25\na.png\tAnnotation\t9\t9\n",
}


def sample(format: str, folder: Path) -> bytes:
    """A small valid file of a format, to be damaged."""
    if format == "map_layer" and format not in SAMPLES:
        place = Georeference("EPSG:32611", (0.6, 0.0, 400_000.0, 0.0, -0.6, 3_770_000.0), (40, 30))
        write_geopackage(folder / "sample.gpkg", spread(4, 40, 30), np.ones(4), place)
        SAMPLES[format] = (folder / "sample.gpkg").read_bytes()
    if format not in SAMPLES:
        written = format if FORMATS.create(format).writable else "dot_mask"
        source = collection_of(folder / "in", {"a.png": spread(4, 40, 30)})
        out = convert(source, folder / "out", written, images="none")
        SAMPLES[format] = next(p for p in sorted(out.iterdir()) if p.name not in ("images.csv", MARKER)).read_bytes()
    return SAMPLES[format]


@pytest.mark.parametrize("format", list(FORMATS))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_raise_only_our_error(tmp_path: Path, format: str, data: st.DataObject) -> None:
    folder = tmp_path
    content = bytearray(sample(format, folder))
    kind = data.draw(st.sampled_from(["flip", "cut", "garbage", "splice"]))
    if kind == "garbage":
        content = bytearray(data.draw(st.binary(max_size=300)))
    elif kind == "cut":
        content = content[: data.draw(st.integers(0, len(content)))]
    elif kind == "splice":
        at = data.draw(st.integers(0, len(content)))
        words = [b"null", b"[]", b"{}", b'"x"', b"1e999", b"-1", b"<a>", b"\x00", b"NaN", b"\n", b","]
        content[at : at + data.draw(st.integers(0, 8))] = data.draw(st.sampled_from(words))
    else:
        for _ in range(data.draw(st.integers(1, 5))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    reader = FORMATS.create(format)
    path = folder / f"{uuid4()}{reader.suffixes[0]}"
    path.write_bytes(bytes(content))
    reader.recognises(path)
    with suppress(AnnotationError):
        if isinstance(reader, Sidecar):
            assert reader.read(path, 40, 30).xy.shape[1] == 2
        elif isinstance(reader, Table):
            for _, listed in reader.read(path):
                listed.read(40, 30)


@pytest.mark.parametrize("format", list(FORMATS))
def test_a_missing_file_is_named(tmp_path: Path, format: str) -> None:
    reader = FORMATS.create(format)
    path = tmp_path / f"gone{reader.suffixes[0]}"
    assert not reader.recognises(path)
    with pytest.raises(AnnotationError, match="gone"):
        reader.read(path, 1, 1) if isinstance(reader, Sidecar) else reader.read(path)  # type: ignore[union-attr]


@pytest.mark.parametrize("format", list(FORMATS))
def test_ten_megabytes_of_garbage_fail_fast(tmp_path: Path, format: str) -> None:
    reader = FORMATS.create(format)
    path = tmp_path / f"big{reader.suffixes[0]}"
    path.write_bytes(np.random.default_rng(0).bytes(10_000_000))
    assert not reader.recognises(path)
    with pytest.raises(AnnotationError, match="big") as caught:
        reader.read(path, 1, 1) if isinstance(reader, Sidecar) else reader.read(path)  # type: ignore[union-attr]
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in WRITABLE])
def test_a_format_that_can_only_be_read_says_so_and_writes_nothing(tmp_path: Path, name: str) -> None:
    form = FORMATS.create(name)
    record = Record(tmp_path / "a.png", "a.png", Points(spread(1, 40, 30), 40, 30))
    with pytest.raises(UsageError, match=f"format '{name}' can only be read"):
        form.write(tmp_path / "out", record if isinstance(form, Sidecar) else [record])
    assert not (tmp_path / "out").exists()
