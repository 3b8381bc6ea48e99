"""What is known about a saved encoder: data, preprocessing, training, metrics, licence."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

PACKAGES = ("tscl", "torch", "numpy", "scipy", "pandas", "scikit-learn", "lightning-fabric")


_NEEDS = re.compile(r"""^([\w.-]+)[^;]*;.*extra == ['"](\w+)['"]""")


def extras() -> dict[str, list[str]]:
    """The library's optional extras, each with the packages of it that are not installed."""
    missing_: dict[str, list[str]] = {}
    try:
        needs = importlib.metadata.requires("tscl") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    for need in needs:
        match = _NEEDS.match(need)
        if match is None or match[2] == "dev":
            continue
        missing = missing_.setdefault(match[2], [])
        try:
            importlib.metadata.version(match[1])
        except importlib.metadata.PackageNotFoundError:
            missing.append(match[1])
    return missing_


def versions() -> dict[str, str]:
    """Versions of Python and packages, the platform and the number of threads."""
    result = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            result[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            result[package] = "not installed as a package"
    result["threads"] = str(torch.get_num_threads())
    return result


_BLOCK = 1 << 24


@dataclass(frozen=True)
class ModelCard:
    """The card of an encoder, JSON values throughout.

    Attributes:
        method: how it was trained.
        data: name, source and ``sha256`` of the training values (:func:`sha256_of_array`).
        preprocessing: what has to be done to new data before they are encoded.
        training: parameters of the method, seed, steps, chosen epoch.
        metrics: results, named by what was measured.
        licence: of the weights; None when nobody has chosen one.
    """

    method: str
    data: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    licence: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The card with the versions of this environment."""
        return {**asdict(self), "versions": versions()}


class RowsOf:
    """Some rows of an array that may stay on disk, as far as :func:`sha256_of_array` needs it.

    Args:
        x: array or memory map. rows: which of its rows.
    """

    def __init__(self, x: Any, rows: Any) -> None:
        self.x, self.rows = x, np.asarray(rows)
        self.dtype = x.dtype
        self.shape = (len(self.rows), *x.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> Any:
        return self.x[self.rows[part]]


def sha256_of_array(x: Any) -> str:
    """SHA-256 of an array's shape, type and values, read in blocks of rows.

    Args:
        x: array or memory map with at least one row.
    """
    digest = hashlib.sha256(f"{x.dtype.str}{tuple(x.shape)}".encode())
    rows = max(1, _BLOCK // max(1, int(np.prod(x.shape[1:])) * x.dtype.itemsize))
    for first in range(0, len(x), rows):
        digest.update(np.ascontiguousarray(x[first : first + rows]).tobytes())
    return digest.hexdigest()
