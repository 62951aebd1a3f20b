"""What the annotation page works on: the dots, what a model suggests, and trainings."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from dotcount import weights
from dotcount.active import order
from dotcount.data.editing import Edit, EditableDots, ImageMarks
from dotcount.data.editing.holding import HELD_OUT, read_names
from dotcount.data.editing.journal import FOLDER
from dotcount.errors import DotcountError
from dotcount.web.background_training import BackgroundTraining
from dotcount.web.jobs import Worker
from dotcount.web.limits import Refusal, ServerLimits
from dotcount.web.suggesting import ImageSuggestions, make_suggester


class AnnotationSession:
    """Dots that are changed in a page, with the model whose suggestions are shown.

    Parameters
    ----------
    annotations
        The data set, open.
    training
        Trainings that the page starts.
    run
        The model to begin with; absent: that of the last finished training, if any.
    device, limits
        Where the model counts, and how long it may take.
    """

    def __init__(
        self,
        annotations: EditableDots,
        training: BackgroundTraining,
        run: Path | None,
        device: str,
        limits: ServerLimits,
    ) -> None:
        self.annotations, self.training = annotations, training
        self.device, self.limits = device, limits
        self.run = run or training.latest_model()
        self._worker: Worker | None = None
        self._suggestions: dict[str, ImageSuggestions] = {}
        self._failed: set[str] = set()
        self._looking: asyncio.Task[None] | None = None
        self._seen = len(training.finished())

    def close(self) -> None:
        """Stop counting and training; the dots are closed by who has opened them."""
        if self._looking is not None:
            self._looking.cancel()
        if self._worker is not None:
            self._worker.close()
        self.training.close()

    def overview(self) -> dict[str, Any]:
        """Return the images and how far they are."""
        annotations = self.annotations
        held = read_names(annotations.root / FOLDER / HELD_OUT)
        images = []
        for name, image in annotations.images.items():
            row: dict[str, Any] = {"name": name, "split": image.split, "trouble": image.trouble, "turn": _turn(name)}
            row["held_out"] = name in held or image.split in ("val", "test")
            images.append(row | (_progress(image.marks) if image.marks is not None else {"state": "unreadable"}))
        labels = Counter(
            mark.label for image in annotations.images.values() if image.marks is not None for mark in image.marks.dots
        )
        return {
            "root": annotations.root.resolve().name,
            "note": annotations.note,
            "format": annotations.format.name,
            "classes": annotations.holds_classes,
            "labels": [name for name, _ in labels.most_common()],
            "trouble": annotations.trouble,
            "run": None if self.run is None else self.run.name,
            "images": images,
        }

    def marks(self, name: str) -> dict[str, Any]:
        """Return the marks of an image."""
        marks = self.annotations.marks(name)
        rows = [[n, m.x, m.y, m.label, int(m.negative)] for n, m in marks.by_number.items()]
        trouble = self.annotations.images[name].trouble
        size = {"width": marks.width, "height": marks.height}
        return {"version": marks.version, **size, "empty": marks.empty, "marks": rows, "trouble": trouble}

    def edit(self, content: Any) -> dict[str, Any]:
        """Change the marks of an image as a message asks, and return its new version."""
        if not isinstance(content, dict) or not isinstance(content.get("edits"), list):
            raise Refusal(400, "send the image, its version and a list of edits")
        name, version = str(content.get("image")), str(content.get("version"))
        edits = [Edit.parse(each) for each in content["edits"]]
        if content.get("assisted"):
            self.annotations.note_assisted(name)
        marks = self.annotations.edit(name, version, edits)
        return {"version": marks.version, **_progress(marks), "trouble": self.annotations.trouble}

    async def suggestions(self, name: str) -> dict[str, Any]:
        """Return what the model suggests for an image."""
        if self.run is None:
            raise Refusal(404, "there is no model yet; train one, or start with `dotcount annotate DATA --run RUN`")
        self.annotations.image(name)
        run = self.run
        found = await self._suggested(name)
        low, high = found.interval or (None, None)
        return {
            "run": run.name,
            "points": found.points,
            "count": found.count,
            "low": low,
            "high": high,
            "radius": found.radius,
        }

    async def _suggested(self, name: str) -> ImageSuggestions:
        if name in self._suggestions:
            return self._suggestions[name]
        if self._worker is None:
            assert self.run is not None
            make = partial(make_suggester, self.run, self.device)
            self._worker = Worker(make, seconds=self.limits.seconds, waiting=self.limits.waiting)
        run = self.run
        found: ImageSuggestions = await self._worker.run((name, str(self.annotations.root / name)))
        if run == self.run:  # else a training has ended meanwhile
            self._suggestions[name] = found
        return found

    async def order(self) -> dict[str, Any]:
        """Return the images without dots, the model's most uncertain ones first, as far as they were counted."""
        if self.run is None:
            return {"images": [], "left": 0}
        todo = self._todo()
        if todo and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look())
        known = {n: found.outlook for n, found in self._suggestions.items()}
        images = self.annotations.images
        annotated = [n for n in known if (marks := images[n].marks) is not None and marks.annotated]
        left, seen = [known[n] for n in known if n not in annotated], [known[n] for n in annotated]
        ranked = await asyncio.to_thread(order, left, seen)
        return {"images": [[name, known[name].error] for name in ranked], "left": len(todo)}

    def _todo(self) -> list[str]:
        """Return the images that were not counted yet, those without dots first."""
        names = [n for n, image in self.annotations.images.items() if image.marks is not None]
        names = [n for n in names if n not in self._suggestions and n not in self._failed]
        return sorted(names, key=lambda n: (m := self.annotations.images[n].marks) is not None and m.annotated)

    async def _look(self) -> None:
        """Count one image after the other; one that can't be counted is passed over."""
        while todo := self._todo():
            name = todo[0]
            try:
                await self._suggested(name)
            except Refusal as refusal:
                if refusal.status == 503:
                    await asyncio.sleep(1)
                    continue
                self._failed.add(name)
            except DotcountError:
                self._failed.add(name)

    def trained(self) -> dict[str, Any]:
        """Return how training stands; a model that was finished since the last call is taken into use."""
        status = self.training.status()
        if len(status["finished"]) > self._seen and self.training.state == "finished":
            self._seen = len(status["finished"])
            self._use(self.training.run)
        model = None if self.run is None else self.run.name
        return status | {"model": model, "beginnings": list(self.beginnings())}

    def beginnings(self) -> dict[str, Path]:
        """Return the models that a training may begin with, by name: the one in use first, then those published."""
        own = {} if self.run is None else {self.run.name: self.run}
        return own | {name: weights.FOLDER / name for name in weights.names() if name not in own}

    def _use(self, run: Path | None) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        if self._worker is not None:
            with suppress(OSError):
                self._worker.close()
        self.run, self._worker = run, None
        self._suggestions.clear()
        self._failed.clear()


def _turn(name: str) -> str:
    """Return a key that puts images into an order drawn at random, the same one whenever they are opened."""
    return hashlib.sha256(f"turn:{name}".encode()).hexdigest()[:16]


def _progress(marks: ImageMarks) -> dict[str, Any]:
    dots = len(marks.dots)
    state = "dots" if dots else "empty" if marks.empty else "open"
    return {"state": state, "dots": dots, "negatives": len(marks.by_number) - dots, "empty": marks.empty}
