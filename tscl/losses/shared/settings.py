"""Checks of the numbers a loss is built with: one named error for a wrong type or range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor

from tscl.errors import InputError, is_number, is_whole

Choice = TypeVar("Choice", bound=str)


def number_setting(name: str, value: object) -> float:
    """``value`` as a finite float, else InputError naming ``name``; text and None are refused."""
    if isinstance(value, Tensor) and value.numel() == 1:
        return float(value.detach())
    if not is_number(value):
        raise InputError(name, value, f"pass a number, not {type(value).__name__}")
    if not math.isfinite(value):
        raise InputError(name, value, "choose a finite value")
    return float(value)


def positive_setting(name: str, value: object, low: float = 0.0) -> float:
    """``value`` when it is finite and above ``low``, else InputError.

    Args:
        name: of the setting, for the error.
        value: what was given.
        low: the bound.
    """
    number = number_setting(name, value)
    if not low < number < math.inf:
        raise InputError(name, value, f"choose a finite value above {low:g}")
    return number


def floor_setting(name: str, value: object, low: float = 0.0) -> float:
    """``value`` when it is finite and at least ``low``, else InputError.

    Arguments as :func:`positive_setting`.
    """
    number = number_setting(name, value)
    if not low <= number < math.inf:
        raise InputError(name, value, f"choose a finite value of at least {low:g}")
    return number


def whole_setting(name: str, value: object, low: int = 1) -> int:
    """``value`` when it is a whole number of at least ``low``, else InputError.

    Arguments as :func:`positive_setting`.
    """
    if not is_whole(value):
        raise InputError(name, value, f"pass a whole number of {low} or more")
    if value < low:
        raise InputError(name, value, f"use {low} or more")
    return int(value)


def pair_setting(name: str, values: object) -> tuple[float, float]:
    """Two finite numbers above 0, else InputError naming ``name``."""
    if isinstance(values, str) or not isinstance(values, Sequence) or len(values) != 2:
        raise InputError(name, values, "pass two numbers")
    return positive_setting(name, values[0]), positive_setting(name, values[1])


def choice_setting(name: str, value: Choice, known: Sequence[str]) -> Choice:
    """``value`` when it is known, else InputError.

    Args:
        name: of the setting, for the error.
        value: what was given.
        known: all values that are allowed.
    """
    if value not in known:
        raise InputError(name, value, f"choose {', '.join(known[:-1])} or {known[-1]}")
    return value
