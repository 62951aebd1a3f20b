from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from dotcount.data import Record
from dotcount.data.checks.duplicates import duplicate_images
from dotcount.data.checks.pictures import read_facts
from dotcount.data.synthetic import generate
from dotcount.points import Points


def scene(index: int) -> Image.Image:
    return Image.fromarray(generate("crowd", 0, index, (160, 120))[0])


def findings(folder: Path, images: dict[str, Image.Image], splits: dict[str, str | None]) -> list:
    records = []
    for name, image in images.items():
        image.save(folder / name)
        records.append(Record(folder / name, name, Points.empty(*image.size), splits.get(name)))
    return list(duplicate_images(records, read_facts(records)))


@pytest.mark.parametrize(
    "change",
    [
        lambda i: i,
        lambda i: i.resize((200, 150)),
        lambda i: i.resize((80, 60)),
        lambda i: ImageEnhance.Brightness(i).enhance(0.8),
        lambda i: ImageEnhance.Contrast(i).enhance(1.2),
        lambda i: i.convert("L").convert("RGB"),
    ],
    ids=["re-encoded", "enlarged", "shrunk", "darker", "steeper", "grey"],
)
def test_a_changed_copy_is_recognised(tmp_path: Path, change) -> None:  # type: ignore[no-untyped-def]
    images = {f"{k}.png": scene(k) for k in range(12)}
    images["copy.jpg"] = change(scene(5))
    found = findings(tmp_path, images, {"5.png": "train", "copy.jpg": "test"})
    assert [(f.kind, f.severity, f.name, f.related) for f in found] == [
        ("duplicate_across_splits", "error", "5.png", ("copy.jpg",))
    ]


def test_the_same_file_within_a_split_is_a_warning(tmp_path: Path) -> None:
    images = {"a.png": scene(1), "b.png": scene(1), "c.png": scene(2)}
    found = findings(tmp_path, images, dict.fromkeys(images, "train"))
    assert [(f.kind, f.severity) for f in found] == [("duplicate_image", "warning")]
    assert "are the same file" in found[0].message


def test_different_scenes_and_blank_images_are_kept_apart(tmp_path: Path) -> None:
    images = {f"{k}.png": scene(k) for k in range(30)}
    images |= {f"blank{k}.png": Image.new("RGB", (50 + k, 50), (k, k, k)) for k in range(4)}
    assert findings(tmp_path, images, {}) == []


def test_a_crop_is_another_photograph(tmp_path: Path) -> None:
    image = scene(3)
    half = image.crop((0, 0, 80, 120))
    assert findings(tmp_path, {"a.png": image, "b.png": half}, {}) == []


def test_unreadable_pictures_are_told_and_skipped(tmp_path: Path) -> None:
    scene(0).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "c.jpg").write_bytes(b"")
    records = [Record(tmp_path / n, n) for n in ("a.jpg", "b.jpg", "c.jpg", "d.jpg")]
    pictures = read_facts(records)
    assert [p.error is None for p in pictures] == [True, False, False, False]
    assert all(name in (p.error or "") for name, p in zip("bcd", pictures[1:]))
    assert list(duplicate_images(records, pictures)) == []
    assert np.asarray(pictures[0].small).shape == (96, 128)
