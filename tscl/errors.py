"""Named errors: each says which field is wrong, what it was, and what to do about it.

This module imports nothing from the rest of the project, so every package may use it.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, TypeGuard


class TSCLError(Exception):
    """Base class of every error this project raises on purpose."""


class InputError(TSCLError, ValueError):
    """Bad input: names the ``field``, the offending ``value`` and the ``remedy``.

    Args:
        field: name of the argument, column, file or configuration key.
        value: what was found there (shortened in the message).
        remedy: what the user can do about it.
    """

    _found = "got "  # before the value in the message

    def __init__(self, field: str, value: object, remedy: str) -> None:
        self.field = field
        self.value = value
        self.remedy = remedy
        text = str(value)
        if len(text) > 200:
            text = text[:197] + "..."
        super().__init__(f"{field}: {self._found}{text}; {remedy}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.field, str(self.value), self.remedy)


class InputTypeError(InputError, TypeError):
    """Input of a type that cannot be used; for libraries whose contract asks for a TypeError."""


class ConfigError(InputError):
    """A configuration key or value that cannot be used."""


class DataError(InputError):
    """A file or array that cannot be read as the data it should hold."""


class LeakageError(InputError):
    """A patient, trial or time step stands on both sides of a split."""


class CheckpointError(InputError):
    """A saved model or checkpoint that is missing, damaged or of another model."""


class WriteError(InputError, OSError):
    """A file or folder that cannot be written: no space, no right to write, a missing disk.

    Args:
        path: what was to be written.
        cause: the system's error, or a text.
    """

    def __init__(self, path: object, cause: object) -> None:
        number = getattr(cause, "errno", None)
        reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        super().__init__("path", path, f"cannot be written: {reason}; {_write_remedy(number)}")
        self.errno = number
        self.cause = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self.value), OSError(self.errno or 0, self.cause))


NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)
WRITE_ERRORS = (*NO_SPACE, *NO_RIGHT)
"""System errors of a full disk and of a place one may not write to."""


def _write_remedy(number: int | None) -> str:
    if number in NO_SPACE:
        return "free space or choose another folder"
    if number in NO_RIGHT:
        return "choose a folder you may write to"
    return "check the path and the disk"


class NotFittedError(TSCLError, ValueError, AttributeError):
    """The estimator was used before ``fit``."""


class MissingExtraError(TSCLError, ImportError):
    """An optional dependency is not installed; the message names the extra to install."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; run: pip install 'tscl[{extra}]'")
        self.package = package
        self.extra = extra

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        return type(self), (self.package, self.extra)


def nearest(name: str, known: Iterable[str]) -> str:
    """A remedy sentence for an unknown ``name``: the closest of ``known``, then all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(names) or 'none'}"


def check_choice(
    field: str, value: object, known: Iterable[object], *, error: type[InputError] = InputError
) -> None:
    """Raise an error with the nearest name unless the value is known.

    Args:
        field: what the error names.
        value: what was given.
        known: all values that are allowed.
        error: class of the error.
    """
    names = list(known)
    if value not in names:
        raise error(field, value, nearest(str(value), map(str, names)))


def is_whole(value: object) -> TypeGuard[int]:
    """Whether ``value`` is a whole number, NumPy's too; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether ``value`` is a real number, NumPy's too; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)
