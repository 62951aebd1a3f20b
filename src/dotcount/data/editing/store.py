"""A data set whose dots are changed one at a time.

A change goes to the journal, which is on the disk when :meth:`EditableDots.edit` returns. A thread carries what is in
the journal to the data set's own files, each written anew beside its place and renamed onto it, and then empties the
journal. What a killed process left in the journal is carried over when the data set is opened again. A file that
another program has changed meanwhile is read again, and the changes are made to what it holds now.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from dotcount.data.editing.containers import Container, Stated, TableContainer, marks_of, record_of
from dotcount.data.editing.holding import ASSISTED, read_names, write_names
from dotcount.data.editing.journal import FOLDER, JOURNAL, ChangeJournal
from dotcount.data.editing.keeping import holds
from dotcount.data.editing.marks import Edit, ImageMarks, Mark, MarkChange
from dotcount.data.editing.negatives import read_negatives, write_negatives
from dotcount.data.editing.places import Places, find_places, nearest
from dotcount.data.images import image_size
from dotcount.data.layout import split_of
from dotcount.data.records import Collection, Record
from dotcount.data.splits import with_listed_splits
from dotcount.errors import AnnotationError, DataError, DotcountError, ImageReadError, InputError
from dotcount.files import make_folder, require_writable
from dotcount.folders import locked
from dotcount.registry import did_you_mean

_REST, _SHARE, _RETRY = 0.1, 4.0, 2.0  # s; writing takes at most a fifth of the time


class ConflictError(DataError):
    """An image was changed by somebody else since it was loaded.

    Examples
    --------
    >>> from PIL import Image
    >>> Image.new("L", (64, 48)).save("a.png")
    >>> with open_annotations(".") as annotations:
    ...     loaded = annotations.marks("a.png").version
    ...     _ = annotations.edit("a.png", loaded, [Edit("add", 0, 12.5, 20.0)])
    ...     try:
    ...         annotations.edit("a.png", loaded, [Edit("add", 0, 13.0, 20.0)])
    ...     except ConflictError as error:
    ...         print(error)
    image a.png was changed elsewhere meanwhile; it is loaded again
    """


@dataclass
class EditedImage:
    """One image: its marks, the file that they go to, or why they can't be changed."""

    name: str
    split: str | None
    marks: ImageMarks | None
    container: Container | None
    trouble: str = ""
    checked: bool = False


class EditableDots:
    """The dots of a data set, to be changed; made by :func:`open_annotations`, used as a context manager.

    Attributes
    ----------
    images
        By name, in the order of the names.
    note
        What was recognised and what will be written, for people.
    trouble
        Why changes could not be carried to the data set's files yet; they are safe in the journal.

    Examples
    --------
    >>> from PIL import Image
    >>> Image.new("L", (64, 48)).save("a.png")
    >>> with open_annotations(".") as annotations:
    ...     print(list(annotations.images), annotations.marks("a.png").annotated)
    ['a.png'] False
    """

    def __init__(self, places: Places) -> None:
        self.root, self.format = places.root, places.format
        self.trouble = ""
        self._lock, self._writing = threading.RLock(), threading.Lock()
        self._wake, self._stopped = threading.Event(), threading.Event()
        self._closing = contextlib.ExitStack()
        self._thread: threading.Thread | None = None
        self._pending: list[tuple[str, MarkChange]] = []
        folder = places.root / FOLDER
        require_writable(folder)
        make_folder(folder)
        self._closing.enter_context(locked(folder, "annotator"))
        try:
            self._journal = ChangeJournal(folder / JOURNAL)
            self._sizes: dict[str, tuple[int, int]] = {}
            self.images = self._read(places)
            self.recovered = self._recover()
        except BaseException:
            self._closing.close()
            raise
        self.note = self._note(places)

    def __enter__(self) -> EditableDots:
        self._thread = threading.Thread(target=self._carry_on, name="dotcount-annotations", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def holds_classes(self) -> bool:
        """Whether the format keeps the classes of dots."""
        return holds(self.format.name).classes

    def image(self, name: str) -> EditedImage:
        """Return an image by name; DataError if there is none."""
        found = self.images.get(name)
        if found is None:
            raise DataError(f"there is no image {name!r}.{did_you_mean(name, self.images)}")
        return found

    def marks(self, name: str) -> ImageMarks:
        """Return the marks of an image as they are now, with what another program has changed meanwhile.

        Raises
        ------
        DataError
            If there is no such image, or it can't be read.
        """
        with self._lock:
            image = self.image(name)
            if image.marks is None:
                raise DataError(image.trouble)
            if image.container is not None:
                self._look_again(image.container)
            if not image.checked and not image.trouble and image.container is not None:
                image.container.check({name: image.marks})
                image.trouble, image.checked = image.container.trouble, True
            return image.marks

    def edit(self, name: str, version: str, edits: Sequence[Edit]) -> ImageMarks:
        """Change the marks of an image, and return them as they are then; the change is on the disk.

        Parameters
        ----------
        name
            The image.
        version
            That of the marks which the edits were made to.
        edits
            All are made, or none.

        Raises
        ------
        ConflictError
            If the marks have been changed by somebody else; load the image again.
        DataError
            If the image can't be changed without loss.
        InputError
            If an edit makes no sense.
        OutputError
            If the change can't be written.
        """
        with self._lock:
            before = self.marks(name)
            image = self.images[name]
            if image.trouble:
                raise DataError(image.trouble)
            if before.version != version:
                raise ConflictError(f"image {name} was changed elsewhere meanwhile; it is loaded again")
            if not self.holds_classes and any(edit.label for edit in edits):
                raise InputError(
                    f"the format {self.format.name!r} keeps no classes; leave them out, or convert the data"
                )
            after, change = before.edited(edits)
            if not change.places and change.empty is None:
                return before
            self._journal.append(name, change)
            self._pending.append((name, change))
            image.marks = after
            self._wake.set()
            return after

    def note_assisted(self, name: str) -> None:
        """Write down that dots of an image were accepted from a model's suggestions; see :func:`with_held_out`."""
        with self._lock:
            self.image(name)
            path = self.root / FOLDER / ASSISTED
            names = read_names(path)
            if name not in names:
                write_names(path, {*names, name})

    def flush(self) -> None:
        """Carry all changes to the data set's own files.

        Raises
        ------
        DotcountError
            If a file can't be written; the changes stay in the journal.
        """
        with self._writing:
            with self._lock:
                pending = list(self._pending)
            if not pending:
                return
            changed = list(dict.fromkeys(name for name, _ in pending))
            containers = {id(c): c for name in changed if (c := self.images[name].container) is not None}
            for container in containers.values():
                self._write(container)
            if any(mark.negative for _, change in pending for mark in change.places):
                with self._lock:
                    negatives = {
                        name: list(image.marks.negatives) for name, image in self.images.items() if image.marks
                    }
                write_negatives(self.root, negatives, self._sizes)
            with self._lock:
                self._pending = self._pending[len(pending) :]
                self._journal.replace(self._pending)
                self.trouble = ""

    def collection(self) -> Collection:
        """Return the annotated images as records, with their splits, after all changes have been carried out."""
        self.flush()
        with self._lock:
            records = [self._record(image) for image in self.images.values()]
        collection = Collection(self.root, self.root.resolve().name, self.format.name, tuple(records))
        return with_listed_splits(collection)

    def close(self) -> None:
        """Carry out what is left, stop, and let others change the data set."""
        self._stopped.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        try:
            self.flush()
        finally:
            self._journal.close()
            self._closing.close()

    def _record(self, image: EditedImage) -> Record:
        if image.marks is None or not image.marks.annotated:
            return Record(self.root / image.name, image.name, split=image.split, error=image.trouble or None)
        return replace(record_of(self.root, image.name, image.marks), split=image.split)

    def _read(self, places: Places) -> dict[str, EditedImage]:
        images: dict[str, EditedImage] = {}
        for name in places.images:
            images[name] = EditedImage(name, split_of(Path(name)), None, None)
            try:
                self._sizes[name] = image_size(places.root / name)
            except ImageReadError as error:
                images[name].trouble = str(error)
        negatives = read_negatives(places.root)
        for container in places.containers:
            if any(name not in self._sizes for name in container.images):
                continue
            for name, found in container.read(self._sizes_of(places, container)).items():
                self._found(images[name], found, container, negatives.get(name, ()))
        for name in self._sizes:
            if images[name].container is None:
                container = nearest(name, places.containers)
                container.images.append(name)
                self._found(images[name], Stated(), container, negatives.get(name, ()))
        for container in places.containers:
            if isinstance(container, TableContainer):
                self._check_table(container, images)
        return images

    def _sizes_of(self, places: Places, container: Container) -> dict[str, tuple[int, int]]:
        if not isinstance(container, TableContainer):
            return self._sizes
        broken = [name for name in places.images if name not in self._sizes]
        return {**self._sizes, **dict.fromkeys(broken, (1, 1))}  # found, so that the table is told to name them

    def _found(self, image: EditedImage, found: Stated, container: Container, negatives: Sequence[Mark]) -> None:
        if image.container is not None:
            image.trouble = f"image {image.name} stands in {image.container.path} and in {container.path}; keep one"
            return
        image.container = container
        if image.name in self._sizes:
            image.marks = marks_of(found, *self._sizes[image.name], negatives)
            image.trouble = found.trouble

    def _check_table(self, container: TableContainer, images: Mapping[str, EditedImage]) -> None:
        """Find out whether a table can be written anew: every image of it has to be understood, and nothing be lost."""
        own = [images[name] for name in container.images]
        trouble = next((image.trouble for image in own if image.trouble), "")
        if not trouble:
            container.check({image.name: image.marks for image in own if image.marks is not None})
            trouble = container.trouble
        for image in own:
            image.trouble, image.checked = image.trouble or trouble, True

    def _recover(self) -> int:
        """Carry out what a killed process has left in the journal; return how many changes that were."""
        changes = list(self._journal.read())
        for name, change in changes:
            image = self.images.get(name)
            if image is None or image.marks is None:
                raise AnnotationError(
                    f"journal {self._journal.path} changes image {name}, which is not there or can't be read; "
                    "restore the image, or remove the journal"
                )
            image.marks = image.marks.repeated(change)
        self._pending = changes
        if changes:
            self.flush()
        else:
            self._journal.replace(())  # the beginning of an unconfirmed line
        return len(changes)

    def _write(self, container: Container) -> None:
        if container.identity() != container.state:
            self._read_again(container)
        with self._lock:
            states = {name: marks for name in container.images if (marks := self.images[name].marks) is not None}
        container.write(states)

    def _look_again(self, container: Container) -> None:
        """Read a file again if another program has changed it; while files are written here, that sees to it."""
        if self._writing.acquire(blocking=False):
            try:
                if container.identity() != container.state:
                    self._read_again(container)
            finally:
                self._writing.release()

    def _read_again(self, container: Container) -> None:
        """Take over what another program has changed in a file, and make the pending changes to it."""
        state = container.identity()
        found = container.read(self._sizes)
        container.state = state
        trouble = next((each.trouble for each in found.values() if each.trouble), "")
        if trouble:
            raise AnnotationError(f"{trouble} (another program has changed the file)")
        with self._lock:
            for name in container.images:
                image = self.images[name]
                if image.marks is None:
                    continue
                marks = marks_of(found.get(name, Stated()), *self._sizes[name], image.marks.negatives)
                for changed, change in self._pending:
                    marks = marks.repeated(change) if changed == name else marks
                if marks.dots != image.marks.dots or marks.empty != image.marks.empty:
                    image.marks = marks

    def _carry_on(self) -> None:
        """Write what is changed, resting in between, until the data set is closed."""
        while not self._stopped.is_set():
            self._wake.wait()
            self._wake.clear()
            started = time.monotonic()
            try:
                self.flush()
                rest = max(_REST, _SHARE * (time.monotonic() - started))
            except (DotcountError, OSError, ValueError) as error:
                self.trouble = str(error)
                rest = _RETRY
                self._wake.set()
            self._stopped.wait(rest)

    def _note(self, places: Places) -> str:
        done = [image for image in self.images.values() if image.marks is not None and image.marks.annotated]
        dots = sum(len(image.marks.dots) for image in done if image.marks is not None)
        bad = [image for image in self.images.values() if image.trouble]
        what = f"{len(self.images):,} images, {len(done):,} annotated, {dots:,} dots in {self.format.name}"
        if places.fresh:
            where = sorted({str(c.path) for c in places.containers if isinstance(c, TableContainer)})
            what += (
                f"; dots will be written to {where[0] if where else 'a file beside each image'} ({self.format.title})"
            )
        if self.recovered:
            what += f"; {self.recovered:,} changes of an annotator that was stopped were carried out"
        return what + (f"; {len(bad)} images can't be changed, the first: {bad[0].trouble}" if bad else "")


def open_annotations(root: str | Path, format: str = "auto") -> EditableDots:
    """Open the dots of a folder of images, to be changed.

    Parameters
    ----------
    root
        A folder with images, and with dots in a format that can be written, or none yet: then a table ``dots.csv`` is
        begun, or one in ``format``.
    format
        Name of an annotation format; ``auto`` recognises it.

    Raises
    ------
    DataError
        If there is no image, or the files beside the images are of no known format or can't be read.
    UsageError
        If the format can't be written without loss, or does not exist.
    OutputError
        If the folder can't be written to, or another annotator has it open.

    Examples
    --------
    >>> from PIL import Image
    >>> Image.new("L", (64, 48)).save("a.png")
    >>> with open_annotations(".") as annotations:
    ...     before = annotations.marks("a.png")
    ...     after = annotations.edit("a.png", before.version, [Edit("add", 0, 12.5, 20.0)])
    >>> Path("dots.csv").read_text(encoding="utf-8").splitlines()
    ['image,x,y', 'a.png,12.5,20.0']
    """
    return EditableDots(find_places(Path(root).expanduser(), format))
