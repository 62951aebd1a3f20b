"""User-facing errors.

Every message names the file or argument, what was found there, and what to do about it, on one line: the command line
prints it as it stands and exits. Anything that is not a :class:`DotcountError` is a defect of ours.
"""

from __future__ import annotations


class DotcountError(Exception):
    """Base of all errors meant for the user; the command line prints the message and exits with 1.

    Examples
    --------
    >>> from dotcount import open_collection
    >>> try:
    ...     open_collection("no/such/folder")
    ... except DotcountError as error:
    ...     print(error)
    no/such/folder does not exist; check the path
    """

    exit_code = 1


class UsageError(DotcountError):
    """The call itself is wrong (unknown name, bad option value); the command line exits with 2."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not in a registry; the message lists what is there and suggests the nearest."""


class ConfigError(UsageError):
    """A configuration key that does not exist or a value of the wrong type."""


class DataError(DotcountError):
    """Images or dots that can't be read or don't fit each other."""


class ImageReadError(DataError):
    """An image file that is missing, corrupt, truncated or of an unsupported kind."""


class AnnotationError(DataError):
    """A dot file that can't be parsed, or dots that are not finite or lie outside their image."""


class ModelError(DotcountError):
    """A saved model or run folder that is missing, incomplete or does not fit the architecture."""


class OutputError(DotcountError):
    """A place that results can't be written to."""


class InputError(UsageError, ValueError):
    """An array or tensor argument of the Python interface with a wrong shape, dtype, device or value."""
