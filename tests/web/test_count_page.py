"""The page's requests: a photo in; count, picture, density, points and results out, as `dotcount predict` has them."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
import tifffile
from PIL import Image

import dotcount
from dotcount.calibration import interval_of_sum
from dotcount.data.synthetic import generate
from dotcount.web.count_page import count_app
from dotcount.web.limits import ServerLimits
from dotcount.web.pyramid import read_tile, write_levels
from dotcount.web.store import ImageStore, clean_name
from tests.web.conftest import running

BINARY = {"Content-Type": "application/octet-stream"}
LIMITS = ServerLimits(upload_bytes=3_000_000, pixels=1_000_000, stored_images=3)


@pytest.fixture(scope="module")
def server():
    with running(lambda access, limits: count_app("cells", access, limits), limits=LIMITS) as found:
        yield found


@pytest.fixture(scope="module")
def photo():
    image, _ = generate("cells", size=600, seed=4)
    buffer = io.BytesIO()
    Image.fromarray(image[:520]).save(buffer, "PNG")
    return buffer.getvalue()


def upload(client, data, name="photo.png"):
    answer = client.put("/api/images", params={"name": name}, content=data, headers=BINARY)
    assert answer.status_code == 201, answer.text
    return answer.json()


def counted(client, data, name="photo.png"):
    key = upload(client, data, name)["id"]
    answer = client.post(f"/api/images/{key}/count")
    assert answer.status_code == 200, answer.text
    return f"/api/images/{key}", key, answer.json()


def test_the_result_is_that_of_predict(server, photo, tmp_path):
    (tmp_path / "photo.png").write_bytes(photo)
    wanted = dotcount.load("cells").predict(tmp_path / "photo.png")
    with server.client() as client:
        base, key, result = counted(client, photo, "my/photo.png")
        assert result["name"] == "my/photo.png"
        assert result["count"] == pytest.approx(wanted.count, rel=1e-6)
        assert result["interval"] == pytest.approx(wanted.interval)
        assert (result["width"], result["height"]) == (600, 520)
        density = np.frombuffer(client.get(f"{base}/density").content, "<f4")
        assert np.allclose(density.reshape(result["rows"], result["columns"]), wanted.density, atol=1e-6)
        points = np.frombuffer(client.get(f"{base}/points").content, "<f4").reshape(-1, 3)
        assert np.allclose(points[:, :2], wanted.points, atol=1e-3)
        tile = Image.open(io.BytesIO(client.get(f"{base}/tiles/0/1/1").content))
        assert tile.size == (88, 8)
        assert client.get(f"{base}/tiles/9/0/0").status_code == 404
        answer = client.post("/api/results", json={"images": [key], "write": ["csv", "overlays", "geojson"]})
        with zipfile.ZipFile(io.BytesIO(answer.content)) as files:
            names = files.namelist()
            assert {"counts.csv", "points.csv", "overlays/my/photo.png.jpg"} < set(names)
            row = files.read("counts.csv").decode().splitlines()[1].split(",")
            assert row[0] == "my/photo.png"
            assert float(row[1]) == pytest.approx(wanted.count, rel=1e-4)
            geojson = json.loads(files.read(next(name for name in names if name.startswith("geojson/"))))
            assert len(geojson["features"][0]["geometry"]["coordinates"]) == len(wanted.points)
        one = client.post("/api/results", json={"images": [key], "write": ["overlays"]})
        assert one.headers["content-type"] == "image/jpeg"


def test_what_can_not_be_counted_says_why_by_the_name_of_its_sender(server, photo):
    broken = photo[:3000]
    huge = io.BytesIO()
    Image.new("L", (1200, 900)).save(huge, "PNG")
    with server.client() as client:
        for data, name, words in (
            (b"no image at all", "note.txt", "note.txt is text"),
            (broken, "half.png", "half.png can't be decoded"),
            (huge.getvalue(), "map.png", "more than 1 million pixels"),
            (b"\0\0\0\x18ftypheic" + bytes(40), "IMG_1.HEIC", "a phone's format"),
        ):
            key = upload(client, data, name)["id"]
            answer = client.post(f"/api/images/{key}/count")
            assert answer.status_code in (413, 422), answer.text
            assert words in answer.json()["error"]
            assert "upload" not in answer.json()["error"]
            assert "/tmp" not in answer.json()["error"]
            assert client.post(f"/api/images/{key}/count").status_code == 404  # its files are gone


def test_two_photos_of_one_name_have_rows_of_their_own(server, photo):
    with server.client() as client:
        keys = [counted(client, photo, "image.png")[1] for _ in range(2)]
        answer = client.post("/api/results", json={"images": keys, "write": ["csv"]})
        with zipfile.ZipFile(io.BytesIO(answer.content)) as files:
            rows = files.read("counts.csv").decode().splitlines()
        assert [row.split(",")[0] for row in rows[1:]] == ["image.png", "image~2.png"]


def test_the_oldest_images_give_way(server, photo):
    with server.client() as client:
        bases = [counted(client, photo)[0] for _ in range(4)]
        assert client.get(f"{bases[0]}/points").status_code == 404
        assert client.get(f"{bases[3]}/points").status_code == 200
        assert client.delete(bases[3]).status_code == 204
        assert client.get(f"{bases[3]}/points").status_code == 404


@pytest.mark.parametrize(
    "message", [[], 3, "x", {}, {"images": 3}, {"images": [], "write": ["csv"]}, {"images": ["x"], "write": ["evil"]}]
)
def test_odd_messages_are_refused(server, message):
    with server.client() as client:
        assert client.post("/api/results", json=message).status_code == 400


def test_regions_share_the_count(server, photo):
    """Halves of an image add up to it; outlines that make no sense are refused."""
    with server.client() as client:
        base, _, result = counted(client, photo)
        halves = [
            {"name": "left", "corners": [[0, 0], [301, 0], [301, 520], [0, 520]]},
            {"name": "right", "corners": [[301, 0], [600, 0], [600, 520], [301, 520]]},
        ]
        found = client.post(f"{base}/regions", json={"regions": halves}).json()
        assert sum(one["count"] for one in found["regions"]) == pytest.approx(result["count"], rel=1e-6)
        assert found["regions"][0]["area"] == pytest.approx(301 * 520)
        assert found["rest"] == pytest.approx(0, abs=1e-6)
        for corners, status in (
            ([[0, 0], [5, 5]], 400),
            ([[0, 0], [1e400, 5], [3, 3]], 400),
            ([["a", "b"]] * 3, 400),
            ("corners", 400),
            (7, 400),
            ([[0, 0]] * 20_000, 413),
        ):
            body = json.dumps({"regions": [{"name": "x", "corners": corners}]})
            answer = client.post(f"{base}/regions", content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code == status, (corners, answer.text)
        for message in ([], {"regions": 3}, {"regions": [{"name": "x"}]}):
            assert client.post(f"{base}/regions", json=message).status_code == 400


def test_warnings_and_familiarity_are_those_of_predict(server, tmp_path):
    strange = np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    Image.fromarray(strange).save(tmp_path / "noise.png")
    run = dotcount.load("cells").stream(tmp_path / "noise.png", out=tmp_path / "out", sinks=["csv"])
    ((frame, prediction),) = list(run)
    assert frame.warnings
    with server.client() as client:
        _, key, result = counted(client, (tmp_path / "noise.png").read_bytes(), "noise.png")
        assert result["warnings"] == frame.warnings
        assert result["familiarity"] == prediction.familiarity
        answer = client.post("/api/results", json={"images": [key], "write": ["csv"]})
        with zipfile.ZipFile(io.BytesIO(answer.content)) as files:
            row = files.read("counts.csv").decode().splitlines()[1]
        assert row == (tmp_path / "out" / "counts.csv").read_text().splitlines()[1]
        assert client.post("/api/results", json={"images": [key], "write": ["overlays"]}).status_code == 200


def deep_stack(path):
    """Three planes of 16 bits."""
    image = generate("cells", size=96, seed=1)[0].mean(axis=2)
    planes = (image[None] * np.array([20, 40, 60])[:, None, None]).astype(np.uint16)
    tifffile.imwrite(path, planes, photometric="minisblack")


def dicom(path):
    pydicom = pytest.importorskip("pydicom")
    image = generate("cells", size=64, seed=2)[0].mean(axis=2).astype(np.uint16)
    found = pydicom.Dataset()
    found.SOPClassUID, found.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", pydicom.uid.generate_uid()
    found.file_meta = pydicom.dataset.FileMetaDataset()
    found.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    found.set_pixel_data(image, "MONOCHROME2", 12)
    found.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize(("name", "write"), [("stack.tif", deep_stack), ("scan.dcm", dicom)])
def test_what_predict_reads_is_read(server, tmp_path, name, write):
    write(tmp_path / name)
    ((frame, wanted),) = dotcount.load("cells").predict_many(tmp_path / name)
    assert wanted is not None, frame.error
    with server.client() as client:
        result = counted(client, (tmp_path / name).read_bytes(), name)[2]
    assert result["count"] == pytest.approx(wanted.count, rel=1e-6)
    assert result["warnings"] == frame.warnings


@pytest.mark.parametrize("name", ["photo.heic", "scan.lsm", "drawing.svg", "table.npy", "scan.czi", "a.dcm"])
def test_what_predict_can_not_read_is_refused_in_its_words(server, tmp_path, name):
    (tmp_path / name).write_bytes(b"\x00\x01 no pixels")
    ((frame, nothing),) = dotcount.load("cells").predict_many(tmp_path / name)
    assert nothing is None
    with server.client() as client:
        key = upload(client, b"\x00\x01 no pixels", name)["id"]
        answer = client.post(f"/api/images/{key}/count")
    assert answer.status_code == 422
    assert answer.json()["error"] == frame.error.replace(f"image {tmp_path / name}", name).replace(f"{tmp_path}/", "")


def test_the_sum_has_an_interval_of_its_own(server, photo):
    small = io.BytesIO()
    Image.fromarray(generate("cells", size=256, seed=4)[0]).save(small, "PNG")
    with server.client() as client:
        strange = [counted(client, photo, f"{k}.png")[1] for k in range(2)]
        told = client.post("/api/sum", json={"images": strange}).json()
        assert told["interval"] is None
        assert "2 of 2" in told["reason"]
        found = [counted(client, small.getvalue(), f"{k}.png") for k in range(2)]
        total = client.post("/api/sum", json={"images": [key for _, key, _ in found]}).json()
        assert total["count"] == pytest.approx(sum(result["count"] for *_, result in found))
        wanted = interval_of_sum(dotcount.load("cells").interval, [result["count"] for *_, result in found])
        assert total["interval"] == (None if wanted.low is None else pytest.approx([wanted.low, wanted.high]))
        for message in ([], {}, {"images": 3}, {"images": []}):
            assert client.post("/api/sum", json=message).status_code == 400
        assert client.post("/api/sum", json={"images": ["x"]}).status_code == 404


def test_names_become_plain_relative_paths():
    for name in ("../../etc/passwd", "/etc/passwd", r"C:\..\x", "a\0b", "\u202egpj.exe", "x" * 9000, "..", "", " / . "):
        cleaned = clean_name(name)
        assert cleaned
        assert not cleaned.startswith("/")
        assert ".." not in cleaned.split("/")
        assert cleaned.isprintable()
        assert len(cleaned.encode()) <= 150
    assert clean_name("<img src=x onerror=alert(1)>.png") == "<img src=x onerror=alert(1)>.png"  # shown as text
    assert clean_name("été 2024/été.jpg") == "été 2024/été.jpg"


def test_a_pyramid_shows_every_pixel(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (1100, 700, 3), dtype=np.uint8)
    assert write_levels(pixels, tmp_path) == 3
    shapes = [np.load(tmp_path / f"level{k}.npy").shape for k in range(3)]
    assert shapes == [(1100, 700, 3), (550, 350, 3), (275, 175, 3)]
    sizes = [Image.open(io.BytesIO(read_tile(tmp_path, 0, c, r))).size for r in range(3) for c in range(2)]
    assert sizes == [(512, 512), (188, 512), (512, 512), (188, 512), (512, 76), (188, 76)]


def test_a_store_removes_everything_at_the_end():
    store = ImageStore(LIMITS)
    image = store.add("a.png")
    image.upload.write_bytes(b"x")
    store.keep(image)
    assert image.upload.parent.parent == store.root
    store.close()
    assert not store.root.exists()
