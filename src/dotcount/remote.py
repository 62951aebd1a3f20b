"""Files on other machines by their URLs; the only user of fsspec and aiohttp, which come with the extra ``remote``."""

from __future__ import annotations

import io
import posixpath
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from dotcount.errors import DataError, UsageError
from dotcount.files import reason

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_WEB = ("http", "https")
_MISSING = "needs the extra remote; install it with: pip install 'dotcount[remote]'"


@dataclass(frozen=True)
class DownloadLimits:
    """What one download may cost.

    Parameters
    ----------
    megabytes
        Size of the file, MB.
    seconds
        Time from the request to the last byte.

    Raises
    ------
    UsageError
        If one is not positive.

    Examples
    --------
    >>> DownloadLimits(megabytes=100).seconds
    300.0
    """

    megabytes: float = 4_000.0
    seconds: float = 300.0

    def __post_init__(self) -> None:
        for name, value in (("megabytes", self.megabytes), ("seconds", self.seconds)):
            if not value > 0:
                raise UsageError(f"limit of {name} a download is {value}; it must be positive")


UNLESS_TOLD = DownloadLimits()
"""What a download may cost unless something else is said."""


@dataclass(frozen=True)
class Url:
    """The address of a file, which may hold credentials; :attr:`shown` does not.

    Examples
    --------
    >>> url = Url("https://me:secret@example.org/photos/a%20b.JPG?token=123")
    >>> url.shown, url.name, url.suffix
    ('https://example.org/photos/a%20b.JPG', 'a b.JPG', '.jpg')
    """

    text: str

    @property
    def shown(self) -> str:
        """The address without user, password, query and fragment."""
        parts = urlsplit(self.text)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def parts(self) -> tuple[str, ...]:
        """Host and folders and name, decoded, none of which leads elsewhere."""
        split = urlsplit(self.text)
        found = (split.netloc.rpartition("@")[2], *map(unquote, split.path.split("/")))
        return tuple(part.replace("/", "_") for part in found if part not in ("", ".", ".."))

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.parts[-1] if self.parts else self.scheme

    @property
    def suffix(self) -> str:
        """The ending of the name, lower case."""
        return posixpath.splitext(self.name)[1].lower()

    @property
    def scheme(self) -> str:
        """``https``, ``memory``, ``s3``, ..."""
        return urlsplit(self.text).scheme.lower()

    def joined(self, text: str) -> Url:
        """Return the address that a list at this one names, absolute or relative to it.

        Raises
        ------
        DataError
            If it leads to another kind of place, such as files of this machine: a list that others wrote may not.
        """
        if not is_url(text):
            if self.scheme in _WEB:
                return Url(urljoin(self.text, text))
            folder = self.text.rpartition("/")[0]
            return Url(f"{self.scheme}://{text.lstrip('/')}" if text.startswith("/") else f"{folder}/{text}")
        other = Url(text)
        if other.scheme not in (*_WEB, self.scheme) or "::" in text:
            raise DataError(f"list {self.shown} names {other.shown}; it may name addresses of {self.scheme} and https")
        return other


def is_url(text: str) -> bool:
    """Return whether a text is an address such as ``https://...`` rather than a path.

    Examples
    --------
    >>> is_url("https://example.org/a.png"), is_url("photos/a.png")
    (True, False)
    """
    return _URL.match(text) is not None


def require_remote(url: Url) -> None:
    """Raise a :class:`DataError` if addresses of this kind can't be read here: asked before a run begins.

    Examples
    --------
    >>> require_remote(Url("https://example.org/a.png"))
    """
    fsspec = _fsspec()
    try:
        if url.scheme in _WEB:
            import aiohttp  # noqa: F401
        fsspec.get_filesystem_class(url.scheme)
    except ValueError as error:
        raise DataError(f"{url.shown}: addresses of {url.scheme!r} are not known; use https, s3, gs, ...") from error
    except ImportError as error:
        if url.scheme in _WEB:
            raise DataError(f"reading {url.shown} {_MISSING}") from error
        raise DataError(f"reading {url.shown} needs a further package ({error}); install it with pip") from error


def fetch(url: Url, target: Path, limits: DownloadLimits = UNLESS_TOLD) -> None:
    """Download a file.

    Parameters
    ----------
    url
        Its address.
    target
        Where it goes.
    limits
        What that may cost.

    Raises
    ------
    DataError
        If it can't be had within the limits; the message shows the address without credentials.

    Examples
    --------
    >>> import fsspec
    >>> fsspec.filesystem("memory").pipe("/photos/a.txt", b"hello")
    >>> fetch(Url("memory://photos/a.txt"), Path("a.txt"))
    >>> Path("a.txt").read_text()
    'hello'
    """
    require_remote(url)
    options = _web_options(limits) if url.scheme in _WEB else {}
    try:
        filesystem, place = _fsspec().core.url_to_fs(url.text, **options)
        with _Bounded(target, url, limits) as file:
            filesystem.get_file(place, file)
    except DataError:
        raise
    except TimeoutError as error:  # also those of asyncio, aiohttp and fsspec
        raise _too_slow(url, limits) from error
    except FileNotFoundError as error:
        raise DataError(f"{url.shown} does not exist; check the address") from None if _private(url) else error
    except Exception as error:  # each kind of place has errors of its own, whose texts may hold credentials
        status = getattr(error, "status", None)
        if status in (401, 403):
            what = f"is not open to this user (status {status}); check the credentials"
        elif status is not None:
            what = f"was not delivered (status {status}); try again later"
        else:
            what = f"can't be had ({_words(error)}); check the address and the network"
        raise DataError(f"{url.shown} {what}") from None


def _private(url: Url) -> bool:
    return url.text != url.shown


def _words(error: Exception) -> str:
    """Return what kind of error it is; of texts only the system's own, which hold no address."""
    if isinstance(error, OSError) and error.strerror:
        return reason(error)
    return type(error).__name__


class _Bounded(io.FileIO):
    """A new file that takes so many bytes, until a time."""

    def __init__(self, path: Path, url: Url, limits: DownloadLimits) -> None:
        super().__init__(path, "wb")
        self._url, self._limits = url, limits
        self._room = limits.megabytes * 1e6
        self._end = time.monotonic() + limits.seconds

    def write(self, data: Any) -> int:
        """Write, within the limits."""
        self._room -= len(data)
        if self._room < 0:
            raise DataError(
                f"{self._url.shown} holds more than {self._limits.megabytes:,g} MB; allow a larger download"
            )
        if time.monotonic() > self._end:
            raise _too_slow(self._url, self._limits)
        return super().write(data)


def _too_slow(url: Url, limits: DownloadLimits) -> DataError:
    return DataError(f"{url.shown} took longer than {limits.seconds:,g} s; try again, or allow more time")


def _web_options(limits: DownloadLimits) -> dict[str, Any]:
    import aiohttp

    # Proxies, and credentials in .netrc, as other programs take them.
    return {"client_kwargs": {"timeout": aiohttp.ClientTimeout(total=limits.seconds), "trust_env": True}}


def _fsspec() -> Any:
    try:
        import fsspec
        import fsspec.core
    except ImportError as error:
        raise DataError(f"reading files by their URLs {_MISSING}") from error
    return fsspec
