"""Ten faults of the kind found in real data, planted into a copy of ShanghaiTech part B."""

from __future__ import annotations

import csv
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image, ImageEnhance

from dotcount.data import open_collection

from .layouts import shanghaitech_mat


@dataclass(frozen=True)
class Fault:
    """What has to be found: one of these kinds, naming this image (in any role)."""

    name: str
    kinds: tuple[str, ...]


def dots_of(path: Path) -> np.ndarray:
    return scipy.io.loadmat(path)["image_info"][0, 0][0, 0][0].astype(float)


def plant(part: Path) -> dict[str, Fault]:
    """Damage a copy in place: nine files of the training split, one of the test split, and the list of splits."""
    images, truth = part / "train_data/images", part / "train_data/ground-truth"
    rich = sorted(truth.glob("*.mat"), key=lambda p: (-len(dots_of(p)), p.name))
    names = [p.stem.removeprefix("GT_") for p in rich]

    def name(k: int) -> str:
        return f"train_data/images/{names[k]}.jpg"

    def mat(k: int) -> Path:
        return truth / f"GT_{names[k]}.mat"

    shanghaitech_mat(mat(0), dots_of(mat(0))[:, ::-1])
    shanghaitech_mat(mat(1), np.vstack([dots_of(mat(1)), [[5000.0, 3.0]]]))
    shanghaitech_mat(mat(2), np.vstack([dots_of(mat(2))] + [dots_of(mat(2))[:5]]))
    cut = (images / f"{names[3]}.jpg").read_bytes()
    (images / f"{names[3]}.jpg").write_bytes(cut[: len(cut) * 2 // 3])
    shanghaitech_mat(mat(4), np.zeros((0, 2)))
    turned = Image.open(images / f"{names[5]}.jpg").convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(images / f"{names[5]}.jpg", exif=exif, quality=95)
    (images / f"{names[6]}.jpg").unlink()
    shanghaitech_mat(mat(7), dots_of(mat(7)) * 2)
    shanghaitech_mat(mat(8), dots_of(mat(8)) / 2)
    leaked = Image.open(images / f"{names[9]}.jpg").convert("RGB")
    brighter = ImageEnhance.Brightness(leaked.resize((leaked.width * 7 // 8, leaked.height * 7 // 8))).enhance(1.1)
    brighter.save(part / "test_data/images/IMG_9999.jpg", quality=70)
    shanghaitech_mat(part / "test_data/ground-truth/GT_IMG_9999.mat", dots_of(mat(9)) * 7 / 8)
    _wrong_list(part, name(10))
    return {
        "swapped axes": Fault(name(0), ("swapped_axes",)),
        "dot off the image": Fault(name(1), ("outside",)),
        "duplicated dots": Fault(name(2), ("duplicate_dots",)),
        "truncated file": Fault(name(3), ("unreadable_image",)),
        "empty annotation": Fault(name(4), ("empty",)),
        "turned by EXIF": Fault(name(5), ("exif_rotated",)),
        "missing image": Fault(f"GT_{names[6]}.mat", ("missing_image",)),
        "twice as large": Fault(name(7), ("scaled",)),
        "half as large": Fault(name(8), ("scaled",)),
        "train image in test": Fault(name(9), ("duplicate_across_splits",)),
        "wrong split list": Fault(name(10), ("split_list",)),
    }


def _wrong_list(part: Path, twice: str) -> None:
    """Write the splits as a list in which one training image stands again as a test image."""
    records = open_collection(part, strict=False).records
    with (part / "splits.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "split"])
        writer.writerows([r.name, r.split] for r in records)
        writer.writerow([twice, "test"])


def copy(source: Path, target: Path) -> Path:
    """Copy a part of ShanghaiTech."""
    shutil.copytree(source, target)
    return target
