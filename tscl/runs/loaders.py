"""Loaders of data sets by the name of their kind: X of every ``load_X`` of data_loaders."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import data_loaders
from data_loaders import EEGProtocol, MedicalDataset, Recordings
from data_loaders.ecg.protocol import ECGProtocol
from tscl.errors import ConfigError, check_choice

Loader = Callable[..., MedicalDataset | Recordings]
SAVED: dict[str, Loader] = {"saved": MedicalDataset.load, "recordings": Recordings.load}
"""What the two containers wrote."""
ENDINGS = ("_recordings", "_table")
"""Of loaders that are called by what stands before them."""

NO_FOLDERS = ("series", "archive", "eeg.protocol")
"""Modules whose ``load_X`` read no folder of recordings."""


def kinds() -> list[str]:
    """Every kind that can be loaded; nothing is imported."""
    names = set(SAVED)
    for name, module in data_loaders.homes().items():
        if name.startswith("load_") and not module.startswith(NO_FOLDERS):
            kind = name.removeprefix("load_")
            for ending in ENDINGS:
                kind = kind.removesuffix(ending)
            names.add(kind)
    return sorted(names)


def find_loader(kind: str, *, whole: bool = False, key: str = "data.kind") -> Loader:
    """The function that reads data of a kind; only its module is imported.

    Args:
        kind: of :func:`kinds`.
        whole: prefer the loader of whole recordings where a kind has both.
        key: of the configuration, for the error.

    Raises:
        ConfigError: there is none.
    """
    if kind in SAVED:
        return SAVED[kind]
    names = [f"load_{kind}", *(f"load_{kind}{ending}" for ending in ENDINGS)]
    if whole:
        names.insert(0, f"load_{kind}_recordings")
    homes = data_loaders.homes()
    known = [name for name in names if not homes.get(name, NO_FOLDERS[0]).startswith(NO_FOLDERS)]
    if not known:
        check_choice(key, kind, kinds(), error=ConfigError)
    loader: Loader = getattr(data_loaders, known[0])
    return loader


def loader_keys(loader: Loader) -> list[str]:
    """Arguments of a loader, those of the protocol that it changes among them."""
    known = inspect.signature(loader).parameters
    takes = [name for name, argument in known.items() if argument.kind is not argument.VAR_KEYWORD][
        1:
    ]
    if len(takes) < len(known) - 1:
        read = inspect.getclosurevars(loader).globals.values()
        protocols = (value for value in read if isinstance(value, ECGProtocol | EEGProtocol))
        takes += next(protocols).keys()
    return takes


def check_params(key: str, function: Callable[..., Any], params: dict[str, Any]) -> None:
    """Raise ConfigError for an argument that a loader lacks, or one it needs that is not there.

    Args:
        key: of the configuration, for errors.
        function: the loader, whose first argument is the folder.
        params: its further arguments.
    """
    takes = loader_keys(function)
    for name in params:
        check_choice(f"{key}.{name}", name, takes, error=ConfigError)
    for name, argument in list(inspect.signature(function).parameters.items())[1:]:
        needed = argument.default is argument.empty and argument.kind is not argument.VAR_KEYWORD
        if needed and name not in params:
            raise ConfigError(f"{key}.{name}", None, "these data need it")
