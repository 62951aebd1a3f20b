"""The packed images on a device, crops of them with a few launches a batch, and whole ones at any size.

All images lie in one tensor of bytes. What a batch of crops looks like is drawn on the host, where the dots are, and
goes to the device in one copy; there the windows are sampled together. Windows have any place and size between
pixels, where those of ``dotcount train`` start on pixels. Where a crop of the batch is scaled down, every pixel is the
mean of four samples, so that fine detail does not turn into noise.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

SCALES, SCALE_CHANCE = (0.75, 1.75), 0.5
"""Magnifications of crops, log-uniform, and how many crops have another than 1; as in ``experiments.reproduce``."""

CROWDED = 0.5
"""Share of crops that are the fuller one of two places."""

BRIGHTNESS, CONTRAST, GREY = 0.2, 0.2, 0.1
"""Largest change of brightness and contrast, and the share of crops without colour."""

LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Images:
    """What ``pack`` wrote.

    ``pixels`` (N, 3, H, W) are bytes on the device; smaller images are continued to the right and below, ``sizes`` (N,
    2) are their heights and widths. ``dots`` are N arrays (m, 2) on the host, ``ids`` their numbers in the whole set.
    """

    pixels: torch.Tensor
    sizes: np.ndarray
    dots: list[np.ndarray]
    ids: list[np.ndarray]
    train: np.ndarray
    held_out: np.ndarray
    about: dict[str, Any]
    encoder: dict[str, torch.Tensor] | None
    min_side: int = 0

    def enlargement(self, k: int) -> float:
        """Return how much larger than in its file an image is counted."""
        return max(1.0, self.min_side / int(self.sizes[k].min()))

    def dots_per_pixel(self) -> float:
        """Return the mean density of dots in the training images at the size at which they are counted."""
        area = sum(float(np.prod(self.sizes[k])) * self.enlargement(k) ** 2 for k in self.train)
        return max(1, sum(len(self.dots[k]) for k in self.train)) / area


def read(path: Path, device: torch.device, min_side: int = 0) -> Images:
    """Return what ``pack`` wrote, with the images on the device."""
    with zipfile.ZipFile(path) as archive:
        about = json.loads(archive.read("about.json"))
        names = sorted(one for one in archive.namelist() if one.endswith(".jpg"))
        arrays = [np.array(Image.open(io.BytesIO(archive.read(one))).convert("RGB")) for one in names]
        encoder = None
        if "encoder.pth" in archive.namelist():
            stored = torch.load(io.BytesIO(archive.read("encoder.pth")), weights_only=True)
            encoder = {k: v.float() if v.is_floating_point() else v for k, v in stored.items()}
    sizes = np.array([one.shape[:2] for one in arrays])
    height, width = sizes.max(axis=0)
    pixels = torch.empty(len(arrays), 3, height, width, dtype=torch.uint8, device=device)
    for k, one in enumerate(arrays):
        padded = np.pad(one, ((0, height - one.shape[0]), (0, width - one.shape[1]), (0, 0)), mode="edge")
        pixels[k].copy_(torch.from_numpy(padded).permute(2, 0, 1))
    dots = [np.array(xy, dtype=np.float64).reshape(-1, 2) for xy in about.pop("dots")]
    ids = np.split(np.arange(sum(map(len, dots))), np.cumsum([len(xy) for xy in dots])[:-1])
    held_out = set(about["held_out"])
    held = np.array([name in held_out for name in about.pop("names")])
    return Images(
        pixels, sizes, dots, ids, np.flatnonzero(~held), np.flatnonzero(held), about, encoder, min_side=min_side
    )


class Crops:
    """An endless row of batches of crops, the same for the same seed; every image once before any comes again."""

    def __init__(self, images: Images, batch: int, size: int, seed: int) -> None:
        self.images, self.batch, self.size = images, batch, size
        self.generator = np.random.default_rng(seed)
        self.deck = np.zeros(0, dtype=np.int64)
        device = images.pixels.device
        self.luma = torch.tensor(LUMA, device=device).reshape(1, 3, 1, 1)
        self.along = [((torch.arange(n * size, device=device) + 0.5) * 2 / (n * size) - 1)[None] for n in (1, 2)]

    def draw(self) -> tuple[np.ndarray, bool, list[np.ndarray], list[np.ndarray]]:
        """Return (B, 8) image, window and colours, whether any crop is scaled down, dots (m, 2) and their numbers."""
        rng, size, images = self.generator, self.size, self.images
        height, width = images.pixels.shape[2:]
        rows, dots, ids, down = [], [], [], False
        while len(self.deck) < self.batch:
            self.deck = np.concatenate([self.deck, rng.permutation(images.train)])
        chosen, self.deck = self.deck[: self.batch], self.deck[self.batch :]
        for k in chosen.tolist():
            scale = images.enlargement(k)
            if rng.random() < SCALE_CHANCE:
                scale *= math.exp(rng.uniform(*np.log(SCALES)))
            h, w = images.sizes[k].tolist()
            side = min(size / scale, h, w)
            places = []
            for _ in range(2 if rng.random() < CROWDED else 1):
                corner = np.array([rng.uniform(0, w - side), rng.uniform(0, h - side)])
                inside = ((images.dots[k] >= corner) & (images.dots[k] < corner + side)).all(axis=1)
                places.append((int(inside.sum()), corner, inside))
            _, (x, y), inside = max(places, key=lambda place: place[0])
            xy = (images.dots[k][inside] - (x, y)) * (size / side)
            mirrored = rng.random() < 0.5
            if mirrored:
                xy[:, 0] = size - xy[:, 0]
            light = rng.uniform(1 - BRIGHTNESS, 1 + BRIGHTNESS) / 255
            contrast, grey = rng.uniform(1 - CONTRAST, 1 + CONTRAST), float(rng.random() < GREY)
            place = (2 * x + side) / width - 1, (-1 if mirrored else 1) * side / width
            rows.append([k, *place, (2 * y + side) / height - 1, side / height, light, contrast, grey])
            dots.append(np.minimum(xy, np.nextafter(np.float32(size), np.float32(0))))
            ids.append(images.ids[k][inside])
            down |= side > size
        return np.array(rows), down, dots, ids

    def __iter__(self) -> Iterator[tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]]:
        """Yield crops (B, 3, size, size) in [0, 1], channels last, with their dots and the numbers of these."""
        pixels = self.images.pixels
        while True:
            rows, down, dots, ids = self.draw()
            numbers = [len(one) for one in ids]
            # Numbers of images and dots are exact in float32 up to 16 million.
            flat = torch.from_numpy(np.concatenate([rows.ravel("F"), *map(np.ravel, dots), *ids]).astype(np.float32))
            if pixels.device.type == "cuda":
                flat = flat.pin_memory().to(pixels.device, non_blocking=True)
            head, xy, keys = flat.split([rows.size, 2 * sum(numbers), sum(numbers)])
            image, x, a, y, b, *colours = head.reshape(-1, self.batch, 1).unbind()
            light, contrast, grey = (one[:, :, None, None] for one in colours)
            fine = self.along[int(down)]
            across, along = torch.addcmul(x, a, fine), torch.addcmul(y, b, fine)
            shape = (-1, fine.shape[1], fine.shape[1])
            grid = torch.stack([across[:, None, :].expand(shape), along[:, :, None].expand(shape)], dim=-1)
            cut = pixels.index_select(0, image[:, 0].long()).float()
            cut = F.grid_sample(cut, grid, mode="bilinear", padding_mode="border", align_corners=False)
            if down:
                cut = F.avg_pool2d(cut, 2)
            cut = cut * light
            cut = torch.lerp(cut.mean(dim=(1, 2, 3), keepdim=True), cut, contrast)
            cut = torch.lerp(cut, (cut * self.luma).sum(dim=1, keepdim=True), grey).clamp_(0, 1)
            yield (
                cut.contiguous(memory_format=torch.channels_last),
                list(xy.reshape(-1, 2).split(numbers)),
                list(keys.long().split(numbers)),
            )


@torch.no_grad()
def count_held_out(
    model: Any, images: Images, magnify: float = 1.0, at_once: int = 4, mixed: bool = True
) -> dict[str, float]:
    """Return the errors of a model's counts of the held-out images, whole.

    Sizes are those of ``dotcount.resize.ResizeRule(min_side=..., magnify=...)``. The host waits once, at the end.
    """
    device, tuned = images.pixels.device, torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False  # every size would be tuned for
    groups: dict[tuple[int, int], list[int]] = {}
    for k in images.held_out.tolist():
        groups.setdefault(tuple(images.sizes[k].tolist()), []).append(k)
    found, order = [], []
    for (height, width), members in groups.items():
        scale = images.enlargement(members[0]) * magnify
        size = (height, width) if scale == 1 else (max(1, round(height * scale)), max(1, round(width * scale)))
        for start in range(0, len(members), at_once):
            some = members[start : start + at_once]
            part = torch.stack([images.pixels[k, :, :height, :width] for k in some]).float() / 255
            if size != (height, width):
                part = F.interpolate(part, size, mode="bilinear", align_corners=False, antialias=scale < 1)
            part = part.contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=mixed and device.type == "cuda"):
                density = model(part)
            found.append(density.float().sum(dim=(1, 2, 3)))
            order += some
    torch.backends.cudnn.benchmark = tuned
    counts = torch.cat(found).double().cpu().numpy()
    errors = counts - np.array([len(images.dots[k]) for k in order])
    return {
        "mae": float(np.abs(errors).mean()),
        "rmse": float(np.sqrt((errors**2).mean())),
        "bias": float(errors.mean()),
    }
