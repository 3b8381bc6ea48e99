"""The card of a saved estimator: ``estimator.json``, its checksum, and the values in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tscl import __version__
from tscl.disk import check_replaceable
from tscl.errors import CheckpointError, InputError
from tscl.registry import python_values
from tscl.training.model_folder import CARD as ENCODER_CARD
from tscl.training.model_folder import WEIGHTS as ENCODER_WEIGHTS
from tscl.training.model_folder import check_folder
from tscl.training.storage import read_json, sha256_of_json, write_json

FORMAT = 2
"""Format 1 had no checksum of the card; it is still read."""

CARD = "estimator.json"
WEIGHTS = "arrays.safetensors"
PART = "transformer"
_OWN = (CARD, ENCODER_CARD, ENCODER_WEIGHTS)
SAVED = (*_OWN, WEIGHTS, f"{PART}/", *(f"{PART}/{name}" for name in _OWN))
"""All names in a saved estimator's folder."""


def check_target(folder: Path) -> None:
    """Raise InputError unless ``folder`` is absent, empty, or an estimator saved earlier."""
    check_replaceable(folder, CARD, SAVED)


def write_card(folder: Path, kind: str, facts: dict[str, Any]) -> None:
    """Write ``estimator.json`` with its format, version, kind and checksum."""
    card = {"format": FORMAT, "tscl": __version__, "kind": kind, **facts}
    write_json(folder / CARD, card | {"card_sha256": sha256_of_json(card)})


def read_card(folder: Path, kind: str) -> dict[str, Any]:
    """Read ``estimator.json``.

    Raises:
        CheckpointError: no folder, pickles or links in it, a card of another format or kind, or
            one that was changed after it was written.
    """
    check_folder(folder, CARD)
    card = read_json(folder / CARD)
    if not isinstance(card, dict) or card.get("format") not in (1, FORMAT):
        raise CheckpointError(CARD, folder, f"this version reads formats 1 to {FORMAT}")
    if card.get("kind") != kind:
        raise CheckpointError(CARD, card.get("kind"), f"load it with {card.get('kind')}.load")
    told = card.pop("card_sha256", None)
    if card["format"] > 1 and told != sha256_of_json(card):
        raise CheckpointError(CARD, folder, "damaged or changed by hand")
    return card


def plain_params(estimator: Any, leave: str | None = None) -> dict[str, Any]:
    """Constructor parameters as JSON types, without the one called ``leave``.

    Raises:
        InputError: a parameter that is an object.
    """
    params = {k: v for k, v in estimator.get_params(deep=False).items() if k != leave}
    plain = {}
    for name, value in params.items():
        plain[name] = _listed(python_values(value))
        try:
            if json.loads(json.dumps(plain[name])) != plain[name]:
                raise TypeError
        except (TypeError, ValueError):
            remedy = "only names, numbers, lists and mappings of them can be saved"
            raise InputError(name, type(value).__name__, remedy) from None
    return plain


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(one) for key, one in value.items()}
    return [_listed(one) for one in value] if isinstance(value, list | tuple) else value


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Whatever a card of wrong content raises becomes one named error."""
    try:
        yield
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CheckpointError(CARD, folder, f"cannot be read: {error!r}") from error


def check_arrays(arrays: dict[str, NDArray[np.float64]], **shapes: tuple[int, ...]) -> None:
    """ValueError unless the named arrays have these shapes; ``scale`` must be positive."""
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} of shape {arrays[name].shape}, not {shape}")
        check_figures(name, arrays[name])


def check_figures(name: str, values: NDArray[np.float64]) -> None:
    """ValueError for means or scales that would make codes of nonsense."""
    if name.startswith("scale") and not (values > 0).all():
        raise ValueError(f"{name} that is not positive")
    if name != "threshold" and not np.isfinite(values).all():
        raise ValueError(f"{name} that is not finite")


def saved_ids(values: NDArray[Any]) -> dict[str, Any]:
    """Labels or ids as JSON: numbers stay numbers, everything else is text."""
    if values.dtype.kind not in "biufUO":
        raise InputError("ids", values.dtype, "use numbers or strings")
    text = values.dtype.kind in "UO"
    return {
        "dtype": "str" if text else str(values.dtype),
        "values": [str(v) for v in values] if text else values.tolist(),
    }


def read_ids(saved: dict[str, Any]) -> NDArray[Any]:
    """What :func:`saved_ids` gave; ValueError unless it is a list of values."""
    kind = np.dtype(saved["dtype"])
    if kind.kind not in "biufU":
        raise ValueError(f"ids of dtype {kind}")
    values = np.asarray(saved["values"], dtype=kind)
    if values.ndim != 1:
        raise ValueError(f"ids of shape {values.shape}")
    return values


def read_classes(saved: dict[str, Any]) -> NDArray[Any]:
    """Class labels in the order of the head's rows: at least two, all different."""
    classes = read_ids(saved)
    if len(classes) < 2 or len(np.unique(classes)) != len(classes):
        raise ValueError("classes that are not two or more different labels")
    return classes
