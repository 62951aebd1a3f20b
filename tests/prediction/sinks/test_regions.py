import csv
import json
from dataclasses import replace

import pytest

from dotcount.geo import Georeference
from dotcount.metadata import CountInterval
from dotcount.prediction import Predictor
from dotcount.regions import Region
from tests.prediction.oracles import write_dotted

HALVES = (Region("left", [[[(0, 0), (6, 0), (6, 8), (0, 8)]]]), Region("right", [[[(6, 0), (12, 0), (12, 8), (6, 8)]]]))


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_regions_rest_and_image_add_up(write, frame):
    found = rows(write("regions", frame(regions=HALVES[:1])) / "regions.csv")
    assert [(row["part"], row["region"]) for row in found] == [("region", "left"), ("rest", ""), ("image", "")]
    counts = [float(row["count"]) for row in found]
    assert counts == pytest.approx([1 / 6, 1 / 6, 1 / 3], rel=1e-6)
    assert [float(row["area_px2"]) for row in found] == [48, 48, 96]
    assert found[0]["low"] == found[0]["high"] == ""
    assert found[2]["low"] == "0.5"
    assert found[0]["objects_per_hectare"] == ""


def test_overlaps_are_rows(write, frame):
    twice = (HALVES[0], Region("left", HALVES[0].polygons))
    table = rows(write("regions", frame(regions=twice)) / "regions.csv")
    found = {(row["part"], row["region"]): float(row["count"]) for row in table}
    assert found["overlap", "left & left (2)"] == pytest.approx(1 / 6, rel=1e-6)
    assert found["shared", ""] == pytest.approx(1 / 6, rel=1e-6)


def test_objects_by_area_of_a_map(write, frame):
    place = Georeference("EPSG:32611", (0.5, 0.0, 500_000.0, 0.0, -0.5, 3_770_000.0), (12, 8))
    found = rows(write("regions", frame(regions=HALVES, place=place)) / "regions.csv")
    # 12 x 8 px of 0.5 m; at the central meridian UTM shrinks lengths by 0.9996
    assert float(found[-1]["area_m2"]) == pytest.approx(24 / 0.9996**2, rel=1e-4)
    assert float(found[-1]["objects_per_hectare"]) == pytest.approx(1 / 3 / 24 * 1e4 * 0.9996**2, rel=1e-4)
    assert float(found[0]["objects_per_m2"]) == pytest.approx(1 / 6 / 12, rel=1e-2)


def test_a_run_with_regions(tmp_path, bright):
    images = tmp_path / "images"
    write_dotted(images / "a.png", [(2, 2), (30, 30), (40, 5)])
    ring = [[0, 0], [16, 0], [16, 48], [0, 48], [0, 0]]
    shape = {"type": "Feature", "properties": {"name": "left"}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (tmp_path / "r.geojson").write_text(json.dumps(shape))
    run = Predictor(bright).stream(
        images, out=tmp_path / "out", sinks=["csv", "regions", "jsonl"], regions=tmp_path / "r.geojson"
    )
    assert len(list(run)) == 1
    found = {row["part"]: float(row["count"]) for row in rows(tmp_path / "out" / "regions.csv")}
    assert found == {"region": 1.0, "rest": 2.0, "image": 3.0}
    line = json.loads((tmp_path / "out" / "predictions.jsonl").read_text())
    assert line["regions"]["regions"][0] == {"name": "left", "count": 1.0, "area": 768.0, "notes": [], "interval": None}


def test_regions_have_the_interval_of_parts(write, frame):
    shown, prediction = frame(regions=HALVES[:1])
    rule = CountInterval(0.9, 0.25, 40, part_scale=0.5)
    table = rows(write("regions", (shown, replace(prediction, rule=rule))) / "regions.csv")
    reach = 0.5 * (1 / 6 + 1) ** 0.5
    for row in table[:2]:  # the region, and the rest, which is a part as well
        assert float(row["low"]) == max(0.0, 1 / 6 - reach)
        assert float(row["high"]) == pytest.approx(1 / 6 + reach, rel=1e-6)
    assert (table[2]["low"], table[2]["high"]) == ("0.5", "3")


def polygon(left, top, right, bottom, **properties):
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def test_what_of_a_region_file_is_of_no_use_is_told(tmp_path, bright):
    images = tmp_path / "images"
    for name in ("a.png", "b.png"):
        write_dotted(images / name, [(2, 2), (30, 30)])
    features = [
        polygon(0, 0, 16, 48, image="a.png"),
        polygon(900, 900, 950, 950, image="a.png"),
        polygon(0, 0, 16, 48, image="aa.png"),
        {"type": "Feature", "properties": {}, "geometry": None},
        {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [1, 1]}},
    ]
    (tmp_path / "r.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    run = Predictor(bright).stream(
        images, out=tmp_path / "out", sinks=["csv", "regions"], regions=tmp_path / "r.geojson"
    )
    warnings = {frame.name: frame.warnings for frame, _ in run}
    assert any("1 of 2 regions lie outside the image" in text for text in warnings["a.png"])
    told = [(name, kind) for name, kind, _ in run.summary.left_out]
    assert told[:2] == [(str(tmp_path / "r.geojson"), "points, lines or empty shapes, which are no regions")] * 2
    assert told[2][0] == "aa.png"
    assert "not counted" in told[2][1]
    table = rows(tmp_path / "out" / "regions.csv")
    assert [row["note"] for row in table if row["part"] == "image"] == ["", "no region belongs to it"]


def test_a_name_that_stands_for_several_images_is_told(tmp_path, bright):
    for folder in "xy":
        write_dotted(tmp_path / "in" / folder / "a.png", [(8, 8)])
    write_dotted(tmp_path / "in" / "b.png", [(8, 8)])
    regions = tmp_path / "regions"
    regions.mkdir()
    for name in "ab":
        content = {"type": "FeatureCollection", "features": [polygon(0, 0, 16, 16, name="left")]}
        (regions / f"{name}.png.geojson").write_text(json.dumps(content))
    run = Predictor(bright).stream(tmp_path / "in", out=tmp_path / "out", sinks=["csv"], regions=regions)
    found = {frame.name: frame for frame, _ in run}
    words = "the regions of a.png were taken for 2 images; name those with their folders"
    assert [words in found[name].warnings for name in ("x/a.png", "y/a.png", "b.png")] == [True, True, False]
    assert all(len(frame.meta.regions) == 1 for frame in found.values())
