"""The images that visitors have sent: in one temporary folder, under secret keys; the oldest give way."""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
import tempfile
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dotcount.temporary import remove
from dotcount.web.limits import Refusal, ServerLimits

_LONGEST_NAME = 150


@dataclass(eq=False)
class StoredImage:
    """An image on the server.

    Attributes
    ----------
    key
        What it is asked for by.
    name
        What its sender calls it: shown and written into results, never part of a path here.
    folder
        Where its files lie.
    result
        What came of counting it.
    """

    key: str
    name: str
    folder: Path
    bytes: int = 0
    result: dict[str, Any] | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def upload(self) -> Path:
        """The file that was sent."""
        return self.folder / f"upload{suffix_of(self.name)}"


class ImageStore:
    """Keeps images within :class:`~dotcount.web.limits.ServerLimits`, until it is closed."""

    def __init__(self, limits: ServerLimits) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="dotcount-"))
        self._limits = limits
        self._images: dict[str, StoredImage] = {}

    def add(self, name: str) -> StoredImage:
        """Make room for an image that is about to be received."""
        key = secrets.token_urlsafe(18)
        folder = self.root / key
        folder.mkdir()
        return StoredImage(key, clean_name(name), folder)

    def keep(self, image: StoredImage) -> None:
        """Keep an image that has been received; the oldest ones that nobody waits for give way."""
        self._images[image.key] = image
        self.measure(image)

    def measure(self, image: StoredImage) -> None:
        """Take note of what an image holds on the disk, and keep to the limits."""
        image.bytes = sum(path.stat().st_size for path in image.folder.iterdir() if path.is_file())
        room = min(self._limits.stored_bytes, (shutil.disk_usage(self.root).free + self._bytes()) // 2)
        for other in list(self._images.values()):
            if len(self._images) <= self._limits.stored_images and self._bytes() <= room:
                return
            if other is not image and not other.turn.locked():
                self.drop(other)

    def _bytes(self) -> int:
        return sum(image.bytes for image in self._images.values())

    def find(self, key: str) -> StoredImage:
        """Return an image, which becomes the newest.

        Raises
        ------
        Refusal
            404 if there is none.
        """
        image = self._images.pop(key, None)
        if image is None:
            raise Refusal(404, "this image is no longer on the server; send it again")
        self._images[key] = image
        return image

    def drop(self, image: StoredImage) -> None:
        """Forget an image and remove its files."""
        self._images.pop(image.key, None)
        remove(image.folder)

    def close(self) -> None:
        """Remove everything."""
        self._images.clear()
        remove(self.root)


def clean_name(name: str) -> str:
    r"""Return the name of an image, which comes from a stranger, as a relative path that can be shown and written.

    >>> clean_name("..\\..\\etc/pass\x00wd.jpg"), clean_name("///")
    ('etc/pass_wd.jpg', 'image')
    """
    text = unicodedata.normalize("NFC", name).encode("utf-8", "replace").decode("utf-8")
    text = "".join("_" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in text)
    parts = [part.strip() for part in re.split(r"[/\\]", text)]
    parts = [part for part in parts if part.strip(". ") and part not in (".", "..")]
    short = "/".join(parts)[-_LONGEST_NAME:].lstrip("/ ")
    while len(short.encode()) > _LONGEST_NAME:
        short = short[1:]
    return short or "image"


def suffix_of(name: str) -> str:
    """Return the ending of a name where it is a plain one; decoders look at it.

    >>> suffix_of("scan.TIF"), suffix_of("x.<b>")
    ('.tif', '')
    """
    found = re.search(r"\.[a-z0-9]{1,5}$", name.lower())
    return found[0] if found else ""
