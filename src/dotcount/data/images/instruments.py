"""Which files come from microscopes and medical instruments, and who opens them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from dotcount.data.images import leica, medical, nikon, zeiss
from dotcount.data.images.stack import Stack

Opener = Callable[[Path], AbstractContextManager[Stack]]

_JP2 = b"\x00\x00\x00\x0cjP  "


def instrument(path: Path, start: bytes) -> Opener | None:
    """Return what opens a file of an instrument by its first 132 bytes; ``None`` for any other file."""
    if start.startswith(nikon.MAGIC) or (start.startswith(_JP2) and path.suffix.lower() == ".nd2"):
        return nikon.open_nikon
    if start.startswith(zeiss.MAGIC):
        return zeiss.open_zeiss
    if start[:4] == b"\x70\x00\x00\x00" and start[8:9] == b"\x2a":
        return leica.open_leica
    if start[128:132] == medical.MAGIC:
        return medical.open_medical
    return None
