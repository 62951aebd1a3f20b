"""A trained model that counts one image or many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dotcount.errors import DataError, InputError
from dotcount.inference.counter import ImageCounter
from dotcount.inference.locate import model_folder
from dotcount.inference.result import Prediction
from dotcount.models import io as model_io
from dotcount.prediction.sources import Source, expand


@dataclass(frozen=True)
class Outcome:
    """One image of many: its prediction, or the one-line reason why there is none."""

    source: Source
    prediction: Prediction | None
    error: str | None = None

    @property
    def status(self) -> str:
        """Return ``ok`` or ``error``."""
        return "error" if self.prediction is None else "ok"


class Predictor(ImageCounter):
    """Counts and locates objects with a trained density regressor, in one image or many."""

    def predict_many(self, sources: Iterable[str | Path | Source]) -> Iterator[Outcome]:
        """Predict files, folders and glob patterns one after the other, in natural order.

        An image that can't be read gives an :class:`Outcome` with its error; the others go on.

        Raises
        ------
        DataError
            If a source doesn't exist or matches nothing; raised before the first prediction.
        """
        given = list(sources)
        plain = [source for source in given if not isinstance(source, Source)]
        listed = [source for source in given if isinstance(source, Source)]
        return self._predict_each(listed + (expand(plain) if plain or not listed else []))

    def _predict_each(self, sources: list[Source]) -> Iterator[Outcome]:
        for source in sources:
            try:
                yield Outcome(source, self.predict(source.path))
            except (DataError, InputError) as error:
                yield Outcome(source, None, str(error))
            except (MemoryError, RuntimeError) as error:
                # torch reports exhausted memory as a RuntimeError; a huge image must not end the run for the others.
                if isinstance(error, RuntimeError) and "memory" not in str(error):
                    raise
                yield Outcome(source, None, "not enough memory for this image; choose a smaller --tile")


def load(path: str | Path, *, device: str = "auto", tile: int | None = None) -> Predictor:
    """Load a trained model.

    Parameters
    ----------
    path
        What ``dotcount train --out`` wrote, or the ``model`` folder in it. Loading never executes code from the file.
    device, tile
        See :class:`Predictor`.

    Raises
    ------
    ModelError
        If there is no model there, or it is incomplete.
    """
    folder = model_folder(Path(path))
    module, metadata = model_io.load(folder)
    return Predictor(module, metadata, device=device, tile=tile)
