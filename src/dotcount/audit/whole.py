"""The audit of a whole set: images one by one, then what shows only in all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dotcount.audit.exchange import POOR, exchanged
from dotcount.audit.judging import LEAST, examine, reach_of, spacing
from dotcount.audit.suspicions import ImageAudit, Suspicion, ranked
from dotcount.audit.table import write_suspicions
from dotcount.data import Record
from dotcount.files import CsvWriter
from dotcount.inference import Prediction
from dotcount.points import FloatArray

IMAGE_COLUMNS = ("image", "dots", "count", "fit", "reach_px", "suspicions", "status", "error")


@dataclass(frozen=True, eq=False)
class Audit:
    """What comes of a set.

    Attributes
    ----------
    images
        In the order in which they were judged.
    suspicions
        Of all images, the strongest first.

    Examples
    --------
    >>> Audit((), ()).suspicions
    ()
    """

    images: tuple[ImageAudit, ...]
    suspicions: tuple[Suspicion, ...]

    @property
    def caution(self) -> str:
        """A sentence where the model disagrees with most of the set, so that suspicions tell of the model; else empty.

        That is where the median fit of the images with dots is below :data:`dotcount.audit.exchange.POOR`.
        """
        fits = [image.fit for image in self.images if len(image.dots)]
        if not fits or float(np.median(fits)) >= POOR:
            return ""
        return (
            f"The model is too poor to judge: the median fit of the images is {float(np.median(fits)):.2f}. Train for "
            "longer, or on images like these."
        )

    def save(self, out: Path, failed: Sequence[Record] = ()) -> None:
        """Write ``suspicions.csv`` and ``images.csv`` into the folder ``out``; ``failed`` are images with errors."""
        write_suspicions(out / "suspicions.csv", self.suspicions)
        number = Counter(suspicion.image for suspicion in self.suspicions)
        with CsvWriter(out / "images.csv", IMAGE_COLUMNS) as sink:
            for image in self.images:
                figures = image.count, image.fit, image.reach, number[image.image]
                sink.write(image.image, len(image.dots), *figures, "ok", None)
            for record in failed:
                sink.write(record.name, record.count, None, None, None, None, "error", record.error)


def audit(
    judged: Iterable[tuple[Record, Prediction]],
    *,
    least: float = LEAST,
    reach: float | None = None,
    usual: float | None = None,
) -> Audit:
    """Return what is suspicious in a set of images.

    Parameters
    ----------
    judged
        Records with dots, each with its prediction by a model that has not learned from them; taken one by one, so
        that a generator keeps no densities in memory but those of images that their dots hardly fit.
    least
        Suspicions of a lower score are left out.
    reach
        Distance, px, from which on a dot takes no mass; by the spacing of each image's dots if absent, see
        :func:`dotcount.audit.reach_of`.
    usual
        Spacing of the set, px, for images with fewer than two dots; see :func:`usual_spacing`.

    Examples
    --------
    >>> import dotcount
    >>> from dataclasses import replace
    >>> from dotcount.data.synthetic import write_dataset
    >>> predictor = dotcount.load("cells")
    >>> record = dotcount.open_collection(write_dataset("data", train=1, val=0, test=0, size=96)).records[0]
    >>> wrong = replace(record, points=record.points.select(range(1, len(record.points))))
    >>> [s.kind for s in audit([(wrong, predictor.predict(record.image))]).suspicions]
    ['missing']
    """
    images, poor = [], {}
    for record, prediction in judged:
        xy = np.zeros((0, 2)) if record.points is None else record.points.xy
        image = examine(
            record.name,
            prediction,
            xy,
            reach=reach if reach is not None else reach_of(xy, prediction.stride, usual),
            least=least,
        )
        images.append(image)
        if image.fit < POOR:
            poor[record.name] = prediction
    whole = exchanged(images, poor)
    settled = {suspicion.image for suspicion in whole}
    single = [s for image in images if image.image not in settled for s in image.suspicions]
    return Audit(tuple(images), tuple(ranked([*whole, *single])))


def usual_spacing(dots: Iterable[FloatArray]) -> float | None:
    """Return the median over images of the median distance to the nearest other dot, px; None if there is none.

    Examples
    --------
    >>> import numpy as np
    >>> usual_spacing([np.array([[0.0, 0.0], [0.0, 8.0]]), np.zeros((0, 2))])
    8.0
    """
    found = [between for xy in dots if (between := spacing(xy)) is not None]
    return float(np.median(found)) if found else None
