"""Reading and counting the images of a set: each decoded once, deep ones by the range that the set has in common."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image

from dotcount.data import Collection, Record
from dotcount.data.digests import file_digest, unpacked
from dotcount.data.images import PixelArray, load_image, to_bytes
from dotcount.data.survey import survey
from dotcount.errors import DataError, InputError
from dotcount.inference.counter import ImageCounter
from dotcount.inference.result import Prediction
from dotcount.intensity import IntensityRule, rule_for

SHOWN = 16_000_000
"""Most pixels that are kept of an image for pictures; of larger ones a reduced copy is."""

THUMBNAIL = 96
"""Longer side of the small picture in a table, px."""

ByteImage = npt.NDArray[np.uint8]


class CountedImage:
    """One image of a set with its prediction, or with the reason why there is none."""

    def __init__(self, prediction: Prediction | None, error: str | None = None) -> None:
        self.prediction = prediction
        self.error = error
        self._pixels: PixelArray | None = None
        self._rule: IntensityRule | None = None

    def shown(self) -> ByteImage:
        """(h, w, 3) the image as the network saw it, reduced to no more than :data:`SHOWN` pixels, for pictures."""
        assert self._pixels is not None  # there is a prediction of them
        image = to_bytes(self._pixels, self._rule)
        scale = (SHOWN / (image.shape[0] * image.shape[1])) ** 0.5
        if scale >= 1:
            return image
        size = max(1, int(image.shape[1] * scale)), max(1, int(image.shape[0] * scale))
        return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))

    def thumbnail(self) -> ByteImage:
        """(h, w, 3) the same, of :data:`THUMBNAIL` px."""
        assert self._pixels is not None  # there is a prediction of them
        height, width = self._pixels.shape[:2]
        scale = THUMBNAIL / max(height, width)
        # Thinned out first: most of the pixels of a large image would be brought to brightness in vain.
        step = max(1, int(0.25 / scale))
        image = Image.fromarray(to_bytes(self._pixels[::step, ::step], self._rule))
        return np.asarray(image.resize((max(1, round(width * scale)), max(1, round(height * scale)))))

    @classmethod
    def of(cls, prediction: Prediction, pixels: PixelArray, rule: IntensityRule) -> CountedImage:
        """Return what was counted, with the pixels it was counted from."""
        counted = cls(prediction)
        counted._pixels, counted._rule = pixels, rule
        return counted


class SetCounter:
    """Counts the images of a set one by one.

    Parameters
    ----------
    predictor
        The network.
    collection
        The set.
    """

    def __init__(self, predictor: ImageCounter, collection: Collection) -> None:
        self._predictor = predictor
        self._collection = collection

    def count(self, record: Record) -> CountedImage:
        """Read and count one image; what is wrong with the image is its error."""
        if record.error is not None:
            return CountedImage(None, record.error)
        try:
            pixels = load_image(record.image, self._predictor.metadata.input.selection).pixels
            trained = self._predictor.metadata.input.intensity
            rule, _ = rule_for(pixels, trained, None if trained.covers(pixels.dtype) else self._intensity)
            found = self._predictor.predict_file(record.image, pixels, intensity=rule)
            return CountedImage.of(found, pixels, rule)
        except (DataError, InputError) as error:
            return CountedImage(None, str(error))

    def learned(self, record: Record) -> bool:
        """Return whether the model was trained on this image, as far as its digest tells."""
        return bool(self._digests) and file_digest(record.image) in self._digests

    @cached_property
    def _digests(self) -> frozenset[str]:
        facts = self._predictor.metadata.training
        return frozenset() if facts is None else unpacked(facts.digests)

    @cached_property
    def _intensity(self) -> IntensityRule:
        paths = [record.image for record in self._collection.records if record.error is None]
        return survey(paths, self._predictor.metadata.input.selection).intensity()
