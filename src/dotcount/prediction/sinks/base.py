"""What a sink is: it writes what came of each frame into the folder of a run."""

from __future__ import annotations

from abc import ABC, abstractmethod

from dotcount.inference.result import Prediction
from dotcount.prediction.frame import Frame
from dotcount.prediction.output import OutputFolder
from dotcount.registry import Registry


class Sink(ABC):
    """Writes predictions in one form; knows no predictor and opens no input.

    A run that was killed is continued by the next one with the same settings. So that nothing is missing or there
    twice, a sink writes only by way of its :class:`~dotcount.prediction.output.OutputFolder`: rows to files that grow
    (:meth:`~dotcount.prediction.output.OutputFolder.grow`), everything else to files of one frame
    (:meth:`~dotcount.prediction.output.OutputFolder.file`), which may be written again.

    Attributes
    ----------
    title
        What it writes, for people.
    names
        Files, and folders with a ``/`` behind their names, that it makes in the folder.
    rows
        Whether it writes errors and warnings of frames, so that it must come after the sinks that may add some.

    Examples
    --------
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> import dotcount
    >>> from dotcount.data.synthetic import generate
    >>> Image.fromarray(generate("cells", size=96)[0]).save("a.png")
    >>> class Names(Sink):
    ...     title, names = "names of the images", ("names.txt",)
    ...     def open(self, out):
    ...         self.file = out.grow("names.txt")
    ...     def write(self, frame, prediction):
    ...         self.file.write(frame.name)
    >>> _ = list(dotcount.load("cells").stream("a.png", out="counts", sinks=[Names()]))
    >>> Path("counts/names.txt").read_text()
    'a.png'
    """

    title: str
    names: tuple[str, ...]
    rows: bool = False

    @property
    def described(self) -> str:
        """What tells its results from those of other sinks: its registered name, and its settings behind a space."""
        return next((name for name in SINKS if SINKS.get(name) is type(self)), type(self).__name__)

    @abstractmethod
    def open(self, out: OutputFolder) -> None:
        """Begin or continue."""

    @abstractmethod
    def write(self, frame: Frame, prediction: Prediction | None) -> None:
        """Write one frame; without a prediction ``frame.error`` says why.

        An error other than :class:`~dotcount.errors.OutputError` becomes a warning of this frame.
        """

    def close(self) -> None:  # noqa: B027 -- most sinks have nothing to add
        """Write what belongs at the end, before the growing files get their final names."""


SINKS: Registry[Sink] = Registry("output", "dotcount.sinks", Sink)
