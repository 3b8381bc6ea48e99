"""Settings of fine-tuning: their names and what each may be, checked before anything trains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from tscl.errors import InputError, is_number, is_whole, nearest
from tscl.pooling import check_pooling

_COUNTS = {"epochs": 1, "batch_size": 2, "hidden": 1}
SETTINGS: tuple[str, ...] = (
    *_COUNTS,
    *("lr", "weight_decay", "double_sigmoid", "patience", "pooling", "device"),
)
"""Arguments of :class:`tscl.evaluation.finetune.FineTuner` that a user may set; the encoder, the
classes, the seed and what is frozen are the protocol's."""


def check_finetune(settings: Mapping[str, Any]) -> None:
    """Names and values of fine-tuning settings; those not given keep their defaults.

    Raises:
        InputError: an unknown setting, or one of the wrong kind or out of range; ``field`` is
            its name.
    """
    for key, value in settings.items():
        if key not in SETTINGS:
            raise InputError(str(key), value, nearest(str(key), SETTINGS))
        if key in _COUNTS:
            _count(key, value, _COUNTS[key])
        elif key == "patience" and value is not None:
            _count(key, value, 1, ", or None")
        elif key == "double_sigmoid" and not isinstance(value, bool):
            raise InputError(key, value, "give true or false")
        elif key == "lr" and not (_finite(value) and value > 0):
            raise InputError(key, value, "give a positive learning rate, such as 1.0e-4")
        elif key == "weight_decay" and not (_finite(value) and value >= 0):
            raise InputError(key, value, "give 0 or a positive number, such as 1.0e-2")
        elif key == "pooling":
            if not isinstance(value, str):
                raise InputError(key, value, "give a name, such as max")
            check_pooling(value)
        elif key == "device" and value is not None:
            try:
                torch.device(value)
            except (RuntimeError, TypeError):
                raise InputError(key, value, "name a device, such as cpu or cuda") from None


def _finite(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)


def _count(key: str, value: Any, least: int, more: str = "") -> None:
    whole = is_whole(value)
    if not whole or value < least:
        why = "batch normalisation needs 2 or more" if least == 2 else f"give at least {least}"
        raise InputError(key, value, f"{why}{more}" if whole else f"{why}{more}, a whole number")
