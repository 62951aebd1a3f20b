"""Changing the dots of a data set one at a time, in its own format.

:func:`open_annotations` opens a folder, :meth:`EditableDots.edit` changes dots. A change is on the disk when that
returns: in a journal at first, in the data set's own files a moment later.
"""

from __future__ import annotations

from dotcount.data.editing.holding import with_held_out
from dotcount.data.editing.journal import pending
from dotcount.data.editing.marks import Edit, ImageMarks, Mark, MarkChange
from dotcount.data.editing.store import ConflictError, EditableDots, open_annotations

__all__ = [
    "ConflictError",
    "Edit",
    "EditableDots",
    "ImageMarks",
    "Mark",
    "MarkChange",
    "open_annotations",
    "pending",
    "with_held_out",
]
