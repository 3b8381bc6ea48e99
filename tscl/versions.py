"""Versions of Python and of the packages results depend on."""

from __future__ import annotations

import importlib.metadata
import platform
import re

import torch

PACKAGES = ("tscl", "torch", "numpy", "scipy", "pandas", "scikit-learn", "lightning-fabric")


_NEEDS = re.compile(r"""^([\w.-]+)[^;]*;.*extra == ['"](\w+)['"]""")


def extras() -> dict[str, list[str]]:
    """The library's optional extras, each with the packages of it that are not installed."""
    found: dict[str, list[str]] = {}
    try:
        needs = importlib.metadata.requires("tscl") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    for need in needs:
        match = _NEEDS.match(need)
        if match is None or match[2] == "dev":
            continue
        missing = found.setdefault(match[2], [])
        try:
            importlib.metadata.version(match[1])
        except importlib.metadata.PackageNotFoundError:
            missing.append(match[1])
    return found


def versions() -> dict[str, str]:
    """Versions of Python and packages, the platform and the number of threads."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed as a package"
    found["threads"] = str(torch.get_num_threads())
    return found
