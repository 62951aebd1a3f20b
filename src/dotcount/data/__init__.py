"""Images with dots: reading, checking, splitting, augmenting and loading them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotcount.data.collect import open_collection
from dotcount.data.convert import convert
from dotcount.data.images import image_size, read_image, read_pixels, to_unit
from dotcount.data.records import Collection, Problem, Record, hold_out
from dotcount.data.region_files import RegionSet, read_regions
from dotcount.data.resizing import ResizeRule, resize_pixels
from dotcount.data.splits import assign_splits, write_splits
from dotcount.lazy import lazy_names

if TYPE_CHECKING:
    from dotcount.data.loading import (
        Batch,
        CropDataset,
        EpochSampler,
        WholeImageDataset,
        collate,
        crop_loader,
        whole_batch,
    )
    from dotcount.data.samples import Sample, fitting_crop, load_sample

# Loading needs torch, whose import takes seconds; reading and checking data do without.
_HOME = {
    "loading": ("Batch", "CropDataset", "EpochSampler", "WholeImageDataset", "collate", "crop_loader", "whole_batch"),
    "samples": ("Sample", "fitting_crop", "load_sample"),
}


__all__ = [
    "Batch",
    "Collection",
    "CropDataset",
    "EpochSampler",
    "Problem",
    "Record",
    "RegionSet",
    "ResizeRule",
    "Sample",
    "WholeImageDataset",
    "assign_splits",
    "collate",
    "convert",
    "crop_loader",
    "fitting_crop",
    "hold_out",
    "image_size",
    "load_sample",
    "open_collection",
    "read_image",
    "read_pixels",
    "read_regions",
    "resize_pixels",
    "to_unit",
    "whole_batch",
    "write_splits",
]

__getattr__ = lazy_names(__name__, _HOME)
