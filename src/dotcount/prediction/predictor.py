"""A trained model that counts one image or many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dotcount.data import read_regions
from dotcount.errors import ModelError, UsageError
from dotcount.inference.counter import ImageCounter
from dotcount.inference.result import Prediction
from dotcount.prediction.engines import Engine, LocalEngine
from dotcount.prediction.frame import Frame
from dotcount.prediction.opening import open_model
from dotcount.prediction.run import PredictionRun
from dotcount.prediction.scale import ImageScale, Scaling
from dotcount.prediction.sinks import Sink
from dotcount.prediction.sources import SourceFiles, find
from dotcount.remote import Url
from dotcount.selection import ImageSelection


class Predictor(ImageCounter):
    """Counts and locates objects with a trained density regressor, in one image or many.

    Attributes
    ----------
    engine
        What :meth:`stream` counts with; ``None``: the network of this predictor.

    Examples
    --------
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from dotcount.data.synthetic import generate
    >>> Image.fromarray(generate("cells", size=96)[0]).save("a.png")
    >>> predictor = load("cells", device="cpu")
    >>> run = predictor.stream("a.png", out="counts", sinks=["csv"])
    >>> [frame.name for frame, prediction in run]
    ['a.png']
    >>> sorted(path.name for path in Path("counts").glob("*.csv"))
    ['counts.csv', 'points.csv']
    """

    progress: Callable[[float], None] | None = None
    """Called with the share that is done of an image that :meth:`stream` reads in windows."""

    engine: Engine | None = None

    def predict_many(
        self,
        sources: str | Path | Iterable[str | Path] | SourceFiles,
        *,
        selection: ImageSelection | None = None,
        every_page: bool = False,
        scale: ImageScale | None = None,
    ) -> Iterator[tuple[Frame, Prediction | None]]:
        """Predict files, folders and glob patterns one after the other, in natural order.

        An image that can't be counted comes with ``None`` and its reason in ``frame.error``; the others go on. The
        next image is decoded while the network is at the present one; ``frame.pixels`` are there until it is asked for.

        Parameters
        ----------
        sources
            Files, folders, glob patterns, lists and URLs, see :func:`dotcount.prediction.find`.
        selection
            What is read of files of many pages or channels; absent: what the model was trained on.
        every_page
            Count each page, plane or frame as an image of its own, called ``stack.tif#1``, ``stack.tif#2``, ...
        scale
            What a pixel or an object measures; images are resampled to the scale that the model was trained at. Absent:
            where a file states the size of its pixels, a GeoTIFF or one of a microscope.

        Raises
        ------
        DataError
            If a source doesn't exist or matches nothing; raised before the first prediction.

        Examples
        --------
        >>> from PIL import Image
        >>> import dotcount
        >>> Image.new("L", (64, 48)).save("a.png")
        >>> for frame, prediction in dotcount.load("cells").predict_many("a.png"):
        ...     print(frame.name, round(abs(prediction.count)))
        a.png 0
        """
        listing = self._listing(sources, selection, every_page, scale)
        return LocalEngine(self).run(listing)

    def stream(
        self,
        sources: str | Path | Iterable[str | Path] | SourceFiles,
        *,
        out: str | Path,
        sinks: Sequence[str | Sink] = ("csv", "overlays"),
        overwrite: bool = False,
        selection: ImageSelection | None = None,
        every_page: bool = False,
        regions: str | Path | None = None,
        scale: ImageScale | None = None,
    ) -> PredictionRun:
        """Predict like :meth:`predict_many` and write every image before it is handed out.

        Parameters
        ----------
        sources
            Files, folders, glob patterns, lists and URLs, see :func:`dotcount.prediction.find`.
        out
            Folder for the results. If it holds an unfinished run with the same model, images and sinks, that run is
            continued; a finished one is not repeated.
        sinks
            What to write: ``csv``, ``overlays``, ``heatmap``, ``density``, ``jsonl``, an annotation format that can be
            written (``coco``, ``imagej``, ...), or a :class:`~dotcount.prediction.sinks.Sink`.
        overwrite
            Replace what a run with other settings left in the folder.
        selection, every_page
            See :meth:`predict_many`.
        regions
            File or folder with areas to count one by one, see :func:`dotcount.data.read_regions`; the sink
            ``regions`` writes them.
        scale
            See :meth:`predict_many`.

        Returns
        -------
        PredictionRun
            An iterator of (frame, prediction), with a ``summary``.

        Raises
        ------
        DataError
            If a source doesn't exist or matches nothing.
        OutputError
            If the folder can't be written to, or holds results of other settings.
        UsageError
            If a sink is unknown.
        """
        listing = self._listing(sources, selection, every_page, scale)
        listing = replace(listing, streams=True)
        if regions is not None:
            listing = replace(listing, regions=read_regions(regions))
        return PredictionRun(
            self.engine or LocalEngine(self, self._step),
            listing,
            sinks,
            Path(out),
            overwrite=overwrite,
        )

    def _step(self, share: float) -> None:
        if self.progress is not None:
            self.progress(share)

    def _listing(
        self,
        sources: str | Path | Iterable[str | Path] | SourceFiles,
        selection: ImageSelection | None,
        every_page: bool,
        scale: ImageScale | None,
    ) -> SourceFiles:
        scale = scale or ImageScale()
        scaling = Scaling(self.metadata, scale)
        listing = sources if isinstance(sources, SourceFiles) else find(sources)
        every_page = every_page or listing.every_page
        chosen = selection or listing.selection
        if chosen is None:
            chosen = self.metadata.input.selection
            if every_page:
                chosen = ImageSelection(channels=chosen.channels)
        if every_page and chosen.projection != "none":
            raise UsageError("`every_page` and `projection` are two ways to read a stack; give one of them")
        return replace(listing, selection=chosen, every_page=every_page, scale=scale, after=(*listing.after, scaling))


LARGEST_DIFFERENCE = 1e-3
"""Relative difference of counts up to which one runtime may stand in for another."""


def runtime_difference(
    first: Predictor, second: Predictor, files: Sequence[Path | Url], most: int = 3
) -> tuple[float, int]:
    """Return the largest relative difference of the counts of two predictors, and on how many images it was measured.

    Parameters
    ----------
    first, second
        The same model on two runtimes.
    files
        Images, of which up to ``most`` are counted, evenly spread; those that can't be read are left out.

    Raises
    ------
    ModelError
        If the counts are more than 1e-3 apart.

    Examples
    --------
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from dotcount.data.synthetic import generate
    >>> Image.fromarray(generate("cells", size=96)[0]).save("a.png")
    >>> runtime_difference(load("cells", runtime="onnx"), load("cells", runtime="torch"), [Path("a.png")])[1]
    1
    """
    largest, number = 0.0, 0
    for k in range(min(most, len(files))):
        path = files[k * len(files) // min(most, len(files))]
        source = path.text if isinstance(path, Url) else path
        one, other = (next(predictor.predict_many(source))[1] for predictor in (first, second))
        if one is not None and other is not None:
            largest, number = max(largest, abs(one.count - other.count) / max(other.count, 1.0)), number + 1
    if largest > LARGEST_DIFFERENCE:
        raise ModelError(
            f"counts of runtime {first.runtime.name!r} are up to {largest:.1e} off those of {second.runtime.name!r} on "
            f"{number} of these images; choose runtime {second.runtime.name!r}"
        )
    return largest, number


def load(
    path: str | Path,
    *,
    device: str = "auto",
    tile: int | None = None,
    runtime: str = "auto",
    points: str = "auto",
) -> Predictor:
    """Load a trained model.

    Parameters
    ----------
    path
        What ``dotcount train --out`` wrote, the ``model`` folder in it, a file that ``dotcount export`` wrote, or the
        name of a model that comes with the package. Loading never executes code from a file.
    device, tile
        See :class:`Predictor`.
    runtime
        What runs the network. ``auto``: PyTorch on a GPU; on a CPU ONNX Runtime, which is faster, or PyTorch for a
        network that can't be exported. ``torch``, ``onnx`` and ``openvino`` ask for one. Counts agree to 1e-4. The ONNX
        file is made on first use and kept beside the model, see :func:`dotcount.export.cached_onnx`.
    points
        ``peaks``: where the density has peaks above a threshold; ``count``: as many as the rounded count, placed by
        transport; ``auto``: as the model was made.

    Raises
    ------
    ModelError
        If there is no model there, it is incomplete, or the runtime can't run it.
    UsageError
        If the runtime is unknown, not installed, or not for this device, or the choice of points is unknown.

    Examples
    --------
    >>> from PIL import Image
    >>> from dotcount.data.synthetic import generate
    >>> Image.fromarray(generate("cells", size=96)[0]).save("a.png")
    >>> prediction = load("cells").predict("a.png")
    >>> prediction.width, prediction.height
    (96, 96)
    """
    model, metadata = open_model(Path(path), runtime=runtime, device=device)
    metadata = replace(metadata, peaks=metadata.peaks.placing(points))
    return Predictor(model, metadata, device=device, tile=tile)
