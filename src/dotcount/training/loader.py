"""Batches for Lightning: crops in an order that follows from the epoch, whole images for validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, Dataset

from dotcount.data import Batch, CropDataset, EpochSampler, ResizeRule, WholeImageDataset, crop_loader, whole_batch
from dotcount.errors import ImageReadError
from dotcount.selection import ImageSelection
from dotcount.training.resolve import Plan
from dotcount.training.state import RunState


class CountingData(pl.LightningDataModule):
    """The loaders of a plan; the order of the coming epoch is set from the state of the run.

    ``warn`` hears of images that can't be decoded. Half of ``cache_mb`` is for training images, half for validation
    images, shared by the loader processes.
    """

    def __init__(self, plan: Plan, state: RunState, warn: Callable[[str], None]) -> None:
        super().__init__()
        self.plan, self.state, self.warn = plan, state, warn
        self.sampler: EpochSampler | None = None
        self._validation: ValidationBatches | None = None

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of random crops."""
        config, training = self.plan.config, self.plan.config.training
        rank, world = self._place()
        dataset = CropDataset(
            self.plan.train.records,
            training.crop or 0,
            config.augment,
            training.seed,
            resize=ResizeRule.of(config.data),
            intensity=self.plan.intensity,
            selection=ImageSelection.of(self.plan.config.data),
            cache_mb=training.cache_mb / 2 / max(1, training.workers or 0),
        )
        self.sampler = EpochSampler(
            len(dataset), training.batch_size, training.steps_per_epoch, training.seed, rank, world
        )
        self.sampler.set_epoch(self.state.done)
        return crop_loader(dataset, self.sampler, training.workers or 0)

    def val_dataloader(self) -> DataLoader[Batch | None]:
        """Return the loader of whole images; each process takes every world-size-th, none is repeated."""
        if self._validation is None:
            config = self.plan.config
            self._validation = ValidationBatches(
                WholeImageDataset(
                    self.plan.validation.records,
                    resize=ResizeRule.of(config.data),
                    intensity=self.plan.intensity,
                    selection=ImageSelection.of(self.plan.config.data),
                    cache_mb=config.training.cache_mb / 2,
                ),
                self.warn,
            )
        rank, world = self._place()
        return DataLoader(self._validation, batch_size=None, sampler=range(rank, len(self._validation), world))

    def magnified(self, factor: float) -> Iterator[Batch | None]:
        """Yield the validation images ``factor`` times as large as in training."""
        images = WholeImageDataset(
            self.plan.validation.records,
            resize=ResizeRule.of(self.plan.config.data).magnified(factor),
            intensity=self.plan.intensity,
            selection=ImageSelection.of(self.plan.config.data),
        )
        batches = ValidationBatches(images, self.warn)
        return (batches[i] for i in range(len(batches)))

    def training_images(self, factor: float) -> Iterator[Batch | None]:
        """Yield whole training images ``factor`` times as large as in training, evenly spread over the set first."""
        images = WholeImageDataset(
            self.plan.train.records,
            resize=ResizeRule.of(self.plan.config.data).magnified(factor),
            intensity=self.plan.intensity,
            selection=ImageSelection.of(self.plan.config.data),
        )
        batches, number = ValidationBatches(images, self.warn), len(images)
        step = max(1, number // 100)
        order = [index for first in range(step) for index in range(first, number, step)]
        return (batches[index] for index in order)

    def next_epoch(self) -> None:
        """Set the order of the epoch that begins."""
        if self.sampler is not None:
            self.sampler.set_epoch(self.state.done)

    def _place(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)


class ValidationBatches(Dataset[Batch | None]):
    """One whole image a batch; ``None`` for a file that can't be decoded, which is reported once."""

    def __init__(self, images: WholeImageDataset, warn: Callable[[str], None]) -> None:
        self.images, self.warn = images, warn
        self.reported: set[int] = set()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Batch | None:
        try:
            return whole_batch(self.images[index], index)
        except ImageReadError as error:
            if index not in self.reported:
                self.reported.add(index)
                self.warn(f"left out of validation: {error}")
            return None


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Return the batch with images, dots and keys on ``device``."""
    return Batch(
        batch.images.to(device),
        [xy.to(device) for xy in batch.points],
        [ids.to(device) for ids in batch.keys],
        batch.image_sizes,
        batch.indices,
    )
