"""Pack the images of a benchmark, recompressed, and their dots into one file for a machine without the data.

    python -m benchmarks.device.pack shanghaitech_b:PATH --out shb.zip [--megabytes 55]

Training images alone; the JPEG quality is the highest at which the file is small enough. What was lost is the same for
every loss that is compared. The encoder's ImageNet weights go along (``encoder.pth``), as the machine has no network,
and so do the names of the images that the published recipe holds out (``about.json``), as it has no configuration.
"""

from __future__ import annotations

import argparse
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dotcount import models
from dotcount.data import hold_out, open_collection
from dotcount.data.samples import load_sample

QUALITIES = (95, 90, 85, 80, 75, 70, 65, 60, 55, 50, 45, 40)

HELD_OUT = 0.15
"""Share of the training images that the recipe of the published counter of ShanghaiTech B holds out."""


def main(words: list[str] | None = None) -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=55.0)
    parser.add_argument("--images", type=int, default=None, help="the first ones only, for a test")
    parser.add_argument("--model", default="lite0", help="whose encoder goes along; none without published weights")
    options = parser.parse_args(words)
    collection = open_collection(options.data).split("train")
    records = collection.records[: options.images]
    held_out = {record.name for record in hold_out(collection.where(records), HELD_OUT, seed=0)[1].records}
    encoder = encoder_bytes(options.model)
    room = options.megabytes * 1e6 - len(encoder)
    for quality in QUALITIES:
        files = [jpeg(load_sample(record).image, quality) for record in records]
        if sum(map(len, files)) <= room:
            break
    else:
        raise SystemExit(f"{len(records)} images do not fit into {options.megabytes:g} MB at quality {QUALITIES[-1]}")
    dots = [record.points.xy.round(3).tolist() if record.points is not None else [] for record in records]
    names = [record.name for record in records]
    about = {"data": options.data.split(":")[0], "quality": quality, "names": names}
    about["held_out"] = [name for name in names if name in held_out]
    temporary = options.out.with_name(options.out.name + ".tmp")
    with zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr("about.json", json.dumps(about | {"dots": dots}))
        if encoder:
            archive.writestr("encoder.pth", encoder)
        for k, content in enumerate(files):
            archive.writestr(f"{k:05d}.jpg", content)
    temporary.replace(options.out)
    megabytes = options.out.stat().st_size / 1e6
    print(f"{len(files)} images, {len(held_out)} of them held out, at quality {quality}, {megabytes:.1f} MB")


def jpeg(image: np.ndarray, quality: int) -> bytes:
    """Return an image (H, W, 3) in [0, 1] as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray((image * 255).round().astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def encoder_bytes(name: str) -> bytes:
    """Return the published weights of a model's encoder, without its decoder, as a file of tensors."""
    if name != "lite0":
        return b""
    model = models.create(name, pretrained=True)
    buffer = io.BytesIO()
    torch.save({k: v.half() if v.is_floating_point() else v for k, v in model.encoder.state_dict().items()}, buffer)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
