"""Samples and batches for training and validation.

What a training sample looks like depends on (seed, epoch, index) and nothing else, and the order of an epoch on (seed,
epoch, rank, world size). So a resumed run continues exactly, whatever the number of loader processes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import DataLoader, Dataset, Sampler

from dotcount.config import AugmentConfig
from dotcount.data.cache import PixelCache
from dotcount.data.images import PixelArray, to_unit
from dotcount.data.records import Record
from dotcount.data.resizing import ResizeRule
from dotcount.data.samples import (
    AS_THEY_ARE,
    FIRST,
    Sample,
    point_tensor,
    require_crop,
    scaled_pixels,
    scaled_size,
)
from dotcount.data.survey import survey
from dotcount.data.transforms import training_sample
from dotcount.data.windows import TiffWindows
from dotcount.errors import DataError, ImageReadError
from dotcount.intensity import IntensityRule
from dotcount.points import Points
from dotcount.selection import ImageSelection


@dataclass(frozen=True)
class Batch:
    """Images with their dots.

    Attributes
    ----------
    images
        (B, 3, h, w) float32 in [0, 1].
    points
        B tensors (m, 2) float32, x and y px.
    keys
        B tensors (m,) int64: identities of the dots over the whole training set.
    image_sizes
        B pairs (height, width) px of the part that is image.
    indices
        Positions of the records in the data set.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> records = open_collection(write_dataset("cells", train=4, val=0, test=0, size=64)).records
    >>> batch = whole_batch(load_sample(records[0]))
    >>> batch.images.shape, batch.image_sizes
    (torch.Size([1, 3, 64, 64]), [(64, 64)])
    """

    images: Tensor
    points: list[Tensor]
    keys: list[Tensor]
    image_sizes: list[tuple[int, int]]
    indices: list[int]


class CropDataset(Dataset[tuple[Tensor, Tensor, Tensor, int]]):
    """Random crops of annotated images, requested by (epoch, index).

    Parameters
    ----------
    records
        Annotated records without errors.
    crop
        Side of the crop, px.
    augment
        Flips, turns and colour changes.
    seed
        Seed of all randomness here.
    resize
        Applied before cropping.
    intensity
        From stored values of more than 8 bits to brightness; absent: fitted on these images.
    selection
        What is read of files that hold more than one picture.
    cache_mb
        Memory for decoded images in each process, MB. Decoded images stay in the depth of their files. Of a TIFF that
        finds no room, only the tiles or strips under the crop are decoded.

    Raises
    ------
    DataError
        If there is no record, one has no dots known, or the crop does not fit into any image.

    Notes
    -----
    An image that turns out to be undecodable is named in a warning and replaced by the next one, so that one broken
    file does not end a run; if none can be decoded the error is raised.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> records = open_collection(write_dataset("cells", train=4, val=0, test=0, size=64)).records
    >>> crops = CropDataset(records, crop=32)
    >>> image, dots, keys, index = crops[0, 2]
    >>> image.shape, index
    (torch.Size([3, 32, 32]), 2)
    """

    def __init__(
        self,
        records: Sequence[Record],
        crop: int,
        augment: AugmentConfig | None = None,
        seed: int = 0,
        *,
        resize: ResizeRule = AS_THEY_ARE,
        intensity: IntensityRule | None = None,
        selection: ImageSelection = FIRST,
        cache_mb: float = 0,
    ) -> None:
        if not records:
            raise DataError("no annotated image to train on; check the split and the dots")
        for record in records:
            if record.points is None or record.error is not None:
                raise DataError(record.error or f"image {record.image} has no dots; annotate it or leave it out")
        require_crop(records, crop, resize)
        self.records = tuple(records)
        self.crop = crop
        self.augment = augment if augment is not None else AugmentConfig()
        self.seed = seed
        self.resize = resize
        self.selection = selection
        paths = [record.image for record in self.records]
        self.intensity = survey(paths, selection).intensity() if intensity is None else intensity
        counts = [len(r.points) for r in self.records if r.points is not None]
        self.first_keys = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._cache = PixelCache(cache_mb)
        self._regions: dict[int, TiffWindows | None] = {}
        self._broken: set[int] = set()

    @property
    def n_dots(self) -> int:
        """Number of dots over all records; keys run from 0 to ``n_dots - 1``."""
        return int(self.first_keys[-1])

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, request: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, int]:
        """Return image (3, c, c), dots (m, 2), keys (m,) and the index of the record for ``(epoch, index)``.

        Of an image that is smaller than the crop the image part alone is returned; :func:`collate` pads it.
        """
        epoch, wanted = request
        index, pixels, points = self._load(wanted)
        rng = np.random.default_rng((self.seed, epoch, wanted))
        image, inside = training_sample(pixels, points, self.crop, self.augment, rng, self.intensity)
        return (
            torch.from_numpy(image.transpose(2, 0, 1).copy()),
            point_tensor(inside),
            torch.from_numpy(inside.ids + self.first_keys[index]),
            index,
        )

    def _load(self, wanted: int) -> tuple[int, PixelArray | TiffWindows, Points]:
        failure: ImageReadError | None = None
        for step in range(len(self.records)):
            index = (wanted + step) % len(self.records)
            if index in self._broken:
                continue
            try:
                return index, *self._pixels(index)
            except ImageReadError as error:
                self._broken.add(index)
                warnings.warn(f"left out of training: {error}", stacklevel=2)
                failure = error
        raise failure or ImageReadError(f"none of the {len(self.records)} training images can be decoded")

    def _pixels(self, index: int) -> tuple[PixelArray | TiffWindows, Points]:
        record = self.records[index]
        assert record.points is not None  # held by the constructor
        kept = self._cache.get(index)
        if kept is not None:
            height, width = kept.shape[:2]
            return kept, record.points.resize(width, height)
        regions = self._regions_of(index)
        if regions is not None and not self._cache.fits(regions.nbytes):
            return regions, record.points
        pixels, points = scaled_pixels(record, self.resize, self.selection)
        assert points is not None
        self._cache.put(index, pixels)
        return pixels, points

    def _regions_of(self, index: int) -> TiffWindows | None:
        """Return an image that can be decoded in part, unless it has to be resized or pages or channels are chosen."""
        if index not in self._regions:
            record = self.records[index]
            whole = self.selection == FIRST and scaled_size(record, self.resize) == scaled_size(record)
            regions = TiffWindows.open(record.image) if whole else None
            same = regions is not None and regions.shape[:2] == scaled_size(record)[::-1]
            self._regions[index] = regions if same else None
        return self._regions[index]


class EpochSampler(Sampler[list[tuple[int, int]]]):
    """Batches of ``(epoch, index)`` for one process; the order is a pure function of seed, epoch, rank and world size.

    The indices are an endless sequence of shuffled passes over the data set, cut into epochs of ``steps`` batches and
    dealt to the processes in turn. Epochs therefore need not be whole passes, all processes take the same number of
    steps, and any epoch can be drawn without drawing those before it.

    Parameters
    ----------
    size
        Number of records.
    batch_size
        Batch of one process.
    steps
        Batches per epoch; ``None``: as many as one pass needs, rounded up.
    seed, rank, world_size
        Seed of the order; the place of this process among all.

    Examples
    --------
    >>> sampler = EpochSampler(size=5, batch_size=2, seed=3)
    >>> sampler.set_epoch(1)
    >>> len(sampler), len(list(sampler))
    (3, 3)
    """

    def __init__(
        self, size: int, batch_size: int, steps: int | None = None, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        if size < 1 or batch_size < 1 or not 0 <= rank < world_size:
            raise ValueError(f"size {size}, batch_size {batch_size}, rank {rank} of {world_size}")
        self.size, self.batch_size, self.seed = size, batch_size, seed
        self.rank, self.world_size = rank, world_size
        self.steps = steps if steps is not None else -(-size // (batch_size * world_size))
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        chunk = self.batch_size * self.world_size
        orders: dict[int, npt.NDArray[np.int64]] = {}
        for step in range(self.epoch * self.steps, (self.epoch + 1) * self.steps):
            first = step * chunk + self.rank * self.batch_size
            # The pass, not the epoch, keys the augmentation: an image drawn twice in an epoch is augmented twice.
            requests = [divmod(position, self.size) for position in range(first, first + self.batch_size)]
            for lap in {lap for lap, _ in requests} - orders.keys():
                orders[lap] = np.random.default_rng((self.seed, lap)).permutation(self.size)
            yield [(lap, int(orders[lap][place])) for lap, place in requests]


def collate(samples: Sequence[tuple[Tensor, Tensor, Tensor, int]]) -> Batch:
    """Join crops to a :class:`Batch`; smaller ones are padded with zeros on the right and at the bottom.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> records = open_collection(write_dataset("cells", train=4, val=0, test=0, size=64)).records
    >>> crops = CropDataset(records, crop=32)
    >>> collate([crops[0, 0], crops[0, 1]]).images.shape
    torch.Size([2, 3, 32, 32])
    """
    images, points, keys, indices = zip(*samples)
    sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in images]
    height, width = (max(sides) for sides in zip(*sizes))
    padded = [pad(image, (0, width - w, 0, height - h)) for image, (h, w) in zip(images, sizes)]
    return Batch(torch.stack(padded), list(points), list(keys), sizes, list(indices))


def crop_loader(dataset: CropDataset, sampler: EpochSampler, workers: int = 0, pin_memory: bool = False) -> DataLoader:
    """Return the loader of training batches; processes persist, so that their caches live on over epochs.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> records = open_collection(write_dataset("cells", train=4, val=0, test=0, size=64)).records
    >>> loader = crop_loader(CropDataset(records, crop=32), EpochSampler(len(records), batch_size=2))
    >>> [len(batch.points) for batch in loader]
    [2, 2]
    """
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        pin_memory=pin_memory,
    )


class WholeImageDataset(Dataset[Sample]):
    """Whole images after the resize rule, in the order of the records; for validation, one at a time.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> records = open_collection(write_dataset("cells", train=4, val=0, test=0, size=64)).records
    >>> images = WholeImageDataset(records)
    >>> len(images), images[3].image.shape
    (4, (64, 64, 3))
    """

    def __init__(
        self,
        records: Sequence[Record],
        *,
        resize: ResizeRule = AS_THEY_ARE,
        intensity: IntensityRule | None = None,
        selection: ImageSelection = FIRST,
        cache_mb: float = 0,
    ) -> None:
        self.records = tuple(records)
        self.resize = resize
        self.intensity, self.selection = intensity, selection
        self._cache = PixelCache(cache_mb)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        record = self.records[index]
        if record.error is not None:
            raise DataError(record.error)
        kept = self._cache.get(index)
        if kept is None:
            kept, points = scaled_pixels(record, self.resize, self.selection)
            self._cache.put(index, kept)
        height, width = kept.shape[:2]
        points = record.points.resize(width, height) if record.points is not None else None
        return Sample(to_unit(kept, self.intensity), points, record)


def whole_batch(sample: Sample, index: int = 0) -> Batch:
    """Return one whole image as a :class:`Batch` of one.

    Examples
    --------
    >>> from dotcount.data import open_collection
    >>> from dotcount.data.synthetic import write_dataset
    >>> records = open_collection(write_dataset("cells", train=4, val=0, test=0, size=64)).records
    >>> whole_batch(load_sample(records[0])).images.shape
    torch.Size([1, 3, 64, 64])
    """
    height, width = sample.image.shape[:2]
    points = sample.points if sample.points is not None else Points.empty(width, height)
    return Batch(
        torch.from_numpy(sample.image.transpose(2, 0, 1).copy())[None],
        [point_tensor(points)],
        [torch.from_numpy(points.ids)],
        [(height, width)],
        [index],
    )
