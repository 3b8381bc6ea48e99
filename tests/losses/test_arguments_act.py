"""Every number that a loss is built with changes its value: none is read and forgotten."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from tests.losses.test_contract import LABELS, LOSSES, NAMES, SETTINGS, build, draw
from tscl.errors import InputError

ACTS_WITH: dict[tuple[str, str], dict[str, Any]] = {
    ("adaptive_multi_head", "head_dims"): {"dims": 8},
    ("adaptive_multi_head", "seed"): {"dims": 8},
    ("adaptive_multi_head", "n_hardest"): {"negatives": "hardest"},
    ("meow", "hidden"): {"weighting": "soft", "dims": 8},
    ("meow", "seed"): {"weighting": "soft", "dims": 8},
}
"""What an argument needs beside it to matter, as its docstring says."""

GIVEN: dict[tuple[str, str], Any] = {
    ("byol", "hidden"): 16,
    ("simsiam", "hidden"): 16,
    ("sepclr", "common_dims"): 4,
    ("supremix", "window"): 1.5,
}
"""Values of arguments without a number as default."""

SHAPES = {"dims", "n_classes", "n_samples"}
"""What has to fit the samples."""
BY_DESIGN = {("infonce", "tile"), ("ntxent", "tile")}
"""Blocks of the computation: ``tests/losses/shared/test_tiled_infonce.py`` holds them equal."""


def is_number(value: object) -> bool:
    parts = value if isinstance(value, tuple) else (value,)
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in parts)


ARGUMENTS = [
    (name, key, GIVEN.get((name, key), argument.default))
    for name in NAMES
    for key, argument in inspect.signature(LOSSES.get(name).__init__).parameters.items()
    if is_number(GIVEN.get((name, key), argument.default))
    and key not in SHAPES
    and (name, key) not in BY_DESIGN
]


def course(name: str, params: dict[str, Any]) -> torch.Tensor:
    """Values of three batches in turn, with classes and, where it can, without: state counts."""
    torch.manual_seed(0)
    values = []
    loss = build(name, **params)
    for step in range(3):
        z = torch.cat([draw(12, seed=step), draw(12, seed=step + 9)[:1]])
        for labels in (LABELS.repeat(2), None):
            views = z if loss.max_views is None else z[:2]
            if labels is None and {"labels", "targets", "background"} & set(loss.needs):
                continue
            values.append(loss(views, labels=labels, ids=torch.arange(12)).detach())
    return torch.stack(values)


def others(value: Any) -> list[Any]:
    """Further values of the kind of ``value``."""
    if isinstance(value, tuple):
        return [tuple(new) for new in zip(*map(others, value), strict=True)]
    if isinstance(value, int):
        return [value + 1, 2 * value, 2, 1]
    return [2 * value, value / 2, value + 0.3, 0.9 * value]


@pytest.mark.parametrize(
    ("name", "key", "value"), ARGUMENTS, ids=[f"{n}-{k}" for n, k, _ in ARGUMENTS]
)
def test_every_numeric_argument_changes_the_value(name: str, key: str, value: Any) -> None:
    params = ACTS_WITH.get((name, key), {})
    first = course(name, {**params, key: value})
    for other in others(value):
        try:
            changed = course(name, {**params, key: other})
        except InputError:
            continue  # out of its range
        if not torch.equal(first, changed):
            return
    raise AssertionError(f"{key} of {name} does nothing")


def test_arguments_are_found() -> None:
    assert len(ARGUMENTS) > 40
    assert ("ntxent", "temperature", 0.1) in ARGUMENTS
    assert set(SETTINGS) <= set(NAMES)
