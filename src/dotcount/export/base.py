"""What an export is: a trained model in one file of some form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from dotcount.export.parity import Parity
from dotcount.inference.runtimes.base import FloatImages
from dotcount.metadata import ModelMetadata
from dotcount.registry import Registry


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A network with its settings.

    Attributes
    ----------
    module
        In eval mode, on the CPU.
    metadata
        Everything besides the weights.
    source
        Digest of the folder that it was read from, see :func:`dotcount.export.cache.source_digest`; empty if none.
    """

    module: nn.Module
    metadata: ModelMetadata
    source: str = ""


class Exporter(ABC):
    """Writes a trained model in one form.

    Attributes
    ----------
    title
        What it writes, for people.
    suffix
        Ending of its files.
    """

    title: str
    suffix: str

    @abstractmethod
    def write(self, model: TrainedModel, path: Path, images: Sequence[FloatImages]) -> Parity:
        """Write the model and return how far what was written is from PyTorch.

        Parameters
        ----------
        model
            What to write.
        path
            Where to; appears complete or not at all.
        images
            (B, H, W, 3) float32 RGB in [0, 1] on which the two are compared, besides the exporter's own.

        Raises
        ------
        ModelError
            If the network can't be exported, or gives other counts afterwards.
        """


EXPORTS: Registry[Exporter] = Registry("export format", "dotcount.exports", Exporter)
"""Name -> exporter; ``@EXPORTS.register("mine")`` in a file of this folder adds one."""
