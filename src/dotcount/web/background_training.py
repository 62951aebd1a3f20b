"""Training that a page has started: a `dotcount train` of its own, which is watched, cancelled and resumed."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dotcount.data import convert
from dotcount.data.editing import EditableDots, with_held_out
from dotcount.errors import DataError, DotcountError, OutputError, UsageError
from dotcount.files import make_folder, read_bytes, reason, write_text
from dotcount.metadata import ModelMetadata
from dotcount.web.starting import Beginning, begin_with

_NAME = re.compile(r"run-(\d{3,})")
_MOST_BYTES = 1 << 24
_NEW = "new weights"
_PATIENCE = 20.0  # s for ending an epoch's work after an interrupt
State = Literal["idle", "running", "stopped", "failed", "finished"]


@dataclass(frozen=True)
class Request:
    """What a run was asked for: its time, the model that it began with, if any, why none, and its settings."""

    minutes: float
    model: str = ""
    reason: str = ""
    settings: tuple[str, ...] = ()

    def write(self, run: Path) -> None:
        """Write it down beside the run, which may have to be begun again."""
        write_text(_request_of(run), json.dumps(self.__dict__, ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def read(cls, run: Path) -> Request:
        """Return what a run was asked for.

        Raises
        ------
        DataError
            If that is not known.
        """
        try:
            content = json.loads(read_bytes(_request_of(run), _MOST_BYTES))
            settings = tuple(str(words) for words in content["settings"])
            return cls(float(content["minutes"]), str(content["model"]), str(content["reason"]), settings)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"{run}: it is not known how it was to train; start a new training") from error

    @property
    def began_with(self) -> str:
        """What the run began with, for people."""
        return self.model or (f"{_NEW}: {self.reason}" if self.reason else _NEW)


@dataclass(frozen=True)
class FinishedRun:
    """A finished training: on how much, and how well its model counts the images that were held out."""

    name: str
    model: str
    images: int
    dots: int
    held_out: int
    mae: float | None
    minutes: float

    def status(self) -> dict[str, Any]:
        """Return it for JSON."""
        return self.__dict__ | {}


class BackgroundTraining:
    """Trainings in one folder, ``run-001``, ``run-002`` and so on, one at a time.

    Each begins with a copy of the dots as they are (``run-001-data``, with links to the images), so that annotating may
    go on, and a training that was cancelled can be resumed. A process that is still running when this object is closed
    is interrupted; it can be resumed, too.

    Parameters
    ----------
    folder
        Where runs are written.
    device
        As of `dotcount train`.
    settings
        Further settings, ``key=value``.
    """

    def __init__(self, folder: Path, device: str = "auto", settings: tuple[str, ...] = ()) -> None:
        self.folder, self.device, self.settings = folder, device, settings
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = False
        self._failure = ""
        runs = self._runs()
        self.run: Path | None = runs[-1] if runs else None

    def latest_model(self) -> Path | None:
        """Return the last run that was finished."""
        return next((run for run in reversed(self._runs()) if _finished(run)), None)

    @property
    def state(self) -> State:
        """What the last training is up to."""
        if self._process is not None and self._process.poll() is None:
            return "running"
        if self.run is None:
            return "idle"
        if _finished(self.run):
            return "finished"
        return "failed" if self._failure_of_process() else "stopped"

    def start(self, annotations: EditableDots, minutes: float, model: Path | None = None) -> Path:
        """Train on the dots as they are, and return the folder of the run.

        Parameters
        ----------
        annotations
            The dots.
        minutes
            How long.
        model
            What to begin with; ``None``: new weights. See :func:`~dotcount.web.starting.begin_with`.

        Raises
        ------
        DataError
            If a training is running, or too few images are annotated.
        OutputError
            If the folder can't be written to.
        """
        self._require_idle()
        collection = with_held_out(annotations.collection())
        numbers = [int(match[1]) for run in self._names() if (match := _NAME.match(run))]
        run = self.folder / f"run-{max(numbers, default=0) + 1:03d}"
        convert(collection, data_of(run), images="link", created_by="dotcount annotate")
        held_out = [record.image for record in collection.split("val").records]
        beginning = begin_with(model, self.settings, held_out) if model is not None else Beginning()
        settings = (*self.settings, *beginning.settings)
        Request(minutes, beginning.model, beginning.reason, settings).write(run)
        self._spawn(run, resume=False)
        return run

    def resume(self) -> None:
        """Go on with a training that was cancelled, or that ended with its server.

        Raises
        ------
        DataError
            If there is none.
        """
        self._require_idle()
        if self.run is None or _finished(self.run) or not data_of(self.run).is_dir():
            raise DataError("there is no training to resume; start one")
        self._spawn(self.run, resume=(self.run / "config.yaml").exists())

    def cancel(self) -> None:
        """Interrupt the training; what it has learnt so far is kept for :meth:`resume`."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        self._cancelled = True
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    close = cancel

    def status(self) -> dict[str, Any]:
        """Return how the last training stands, and what the finished ones came to, for JSON."""
        run = self.run
        rows = _rows(run) if run is not None else []
        asked = _asked(run)
        return {
            "state": self.state,
            "run": run.name if run is not None else None,
            "minutes": None if asked is None else asked.minutes,
            "began_with": None if asked is None else asked.began_with,
            "rows": rows,
            "message": self._failure_of_process(),
            "finished": [each.status() for each in self.finished()],
        }

    def finished(self) -> list[FinishedRun]:
        """Return the trainings that were finished, the first first."""
        return [found for run in self._runs() if _finished(run) and (found := _facts(run)) is not None]

    def _require_idle(self) -> None:
        if self.state == "running":
            raise DataError("a training is running already; wait until it has ended, or cancel it")

    def _spawn(self, run: Path, resume: bool) -> None:
        words = [sys.executable, "-m", "dotcount", "train", str(data_of(run)), "--out", str(run)]
        if resume:
            words.append("--resume")
        else:
            asked = Request.read(run)
            words += ["--max-minutes", f"{asked.minutes:g}", *(w for s in asked.settings for w in ("--set", s))]
        words += ["--device", self.device]
        polite = ["nice", "-n", "5"] if shutil.which("nice") else []  # clicks come first
        try:
            with run.with_name(f"{run.name}-log.txt").open("ab") as log:
                self._process = subprocess.Popen(
                    [*polite, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
                )
        except OSError as error:
            raise OutputError(f"training can't be started: {reason(error)}") from error
        self.run, self._cancelled = run, False

    def _failure_of_process(self) -> str:
        """Return what a training that ended by itself, without a model, has said last."""
        process = self._process
        if process is None or process.poll() in (None, 0) or self._cancelled or self.run is None:
            return ""
        with suppress(OSError):
            text = read_bytes(self.run.with_name(f"{self.run.name}-log.txt"), _MOST_BYTES).decode(errors="replace")
            lines = [line for line in text.splitlines() if line.strip()]
            said = [line.removeprefix("dotcount: error: ") for line in lines if line.startswith("dotcount: error")]
            return (said or lines or ["it ended without a word"])[-1][:400]
        return f"training ended with the code {process.returncode}"

    def _names(self) -> list[str]:
        try:
            return sorted(path.name for path in self.folder.iterdir())
        except OSError:
            return []

    def _runs(self) -> list[Path]:
        names = [name.removesuffix("-data") for name in self._names() if name.endswith("-data")]
        return [self.folder / name for name in names if _NAME.fullmatch(name)]


def data_of(run: Path) -> Path:
    """Return the folder with the dots that a run learns from."""
    return run.with_name(f"{run.name}-data")


def _request_of(run: Path) -> Path:
    return run.with_name(f"{run.name}-request.json")


def _asked(run: Path | None) -> Request | None:
    """Return what a run was asked for, where that is known."""
    with suppress(DataError):
        return None if run is None else Request.read(run)
    return None


def require_runs_folder(folder: Path) -> None:
    """Raise an error if runs can't be written to a folder.

    Raises
    ------
    UsageError
        If it is a file.
    """
    if folder.is_file():
        raise UsageError(f"`out` {folder} is a file; name a folder")
    make_folder(folder)


def _finished(run: Path) -> bool:
    return (run / "model" / "config.json").is_file() and (run / "report.html").is_file()


def _facts(run: Path) -> FinishedRun | None:
    try:
        text = read_bytes(run / "model" / "config.json", _MOST_BYTES).decode("utf-8")
        metadata = ModelMetadata.from_json(text, str(run))
    except (OSError, ValueError, DotcountError):
        return None
    training, validation = metadata.training, metadata.validation
    if training is None:
        return None
    mae = validation.counting.mae if validation is not None else None
    asked = _asked(run)
    began = asked.model if asked is not None else ""
    return FinishedRun(
        run.name, began, training.images, training.dots, training.validation_images, mae, training.minutes
    )


def _rows(run: Path) -> list[dict[str, float | None]]:
    """Return epoch, loss and validation error of every epoch, for the curve."""
    try:
        text = read_bytes(run / "metrics.csv", _MOST_BYTES).decode("utf-8")
        rows = list(csv.DictReader(io.StringIO(text)))
    except (OSError, ValueError, csv.Error):
        return []
    return [{key: _number(row.get(key)) for key in ("epoch", "train_loss", "val_mae", "elapsed")} for row in rows]


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
