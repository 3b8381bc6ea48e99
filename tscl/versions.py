"""Versions of Python and of the packages results depend on."""

from __future__ import annotations

import importlib.metadata
import platform

import torch

PACKAGES = ("tscl", "torch", "numpy", "scipy", "pandas", "scikit-learn", "lightning-fabric")


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
