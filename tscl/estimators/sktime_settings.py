"""Checks of the settings of the sktime forecaster, before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tscl.encoders import ENCODERS
from tscl.errors import ConfigError, InputError, is_number, is_whole
from tscl.forecasters.intervals import check_levels
from tscl.forecasters.network import check_network_params


def check_forecaster(options: Mapping[str, Any]) -> None:
    """Raise ConfigError or InputError for a setting of the forecaster that cannot be used."""
    _check_numbers(options)
    _check_names(options)
    if options["intervals"] not in ("conformal", "quantile"):
        raise ConfigError("intervals", options["intervals"], "choose conformal or quantile")
    if options["quantile_levels"] is not None:
        check_quantiles(options["quantile_levels"])
    if not 0 <= options["weight"] < 1:
        raise InputError("weight", options["weight"], "choose lambda in [0, 1)")
    if not 0 <= options["valid_share"] < 1:
        raise InputError("valid_share", options["valid_share"], "choose a share in [0, 1)")
    if not 0 < options["lr"] < float("inf"):
        raise InputError("lr", options["lr"], "choose a learning rate above 0")


def check_quantiles(levels: Any) -> None:
    """Raise InputError for levels of the quantile head that are no levels."""
    try:
        check_levels(levels)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("levels", levels, "give numbers between 0 and 1, increasing") from error


def _check_numbers(options: Mapping[str, Any]) -> None:
    for name in ("context_length", "horizon"):
        if options[name] is not None:
            _whole(name, options[name], None)
    for name, low in (("max_epochs", 0), ("update_epochs", 0), ("patience", 0), ("batch_size", 1)):
        _whole(name, options[name], low)
    seed = options["random_state"]
    if seed is not None and not isinstance(seed, np.random.RandomState):
        _whole("random_state", seed, 0)
    for name in ("weight", "valid_share", "lr"):
        if not is_number(options[name]):
            raise InputError(name, repr(options[name]), "pass a number")


def _whole(name: str, value: Any, low: int | None) -> None:
    if not is_whole(value) or (low is not None and value < low):
        least = "" if low is None else f" of at least {low}"
        raise InputError(name, repr(value), f"pass a whole number{least}")


def _check_names(options: Mapping[str, Any]) -> None:
    if not isinstance(options["encoder"], str):
        raise ConfigError("encoder", repr(options["encoder"]), f"name one of {ENCODERS.names()}")
    for name in ("encoder_params", "network_params", "contrast_params"):
        given = options[name]
        if given is not None and not isinstance(given, Mapping):
            raise ConfigError(name, repr(given), "pass a dict of names and values")
    params = options["network_params"] or {}
    for name in ("encoder", "encoder_params", "horizon", "instance_norm"):
        if name in params:  # these are parameters of the forecaster itself
            remedy = f"pass {name}=... to the forecaster instead"
            raise ConfigError(f"network_params.{name}", params[name], remedy)
    check_network_params(params)


_TINY: dict[str, Any] = {
    "context_length": 3,
    "batch_size": 64,
    "max_epochs": 1,
    "calendar": False,
    "network_params": {"output_dims": 4, "decoder_dims": 0},
}
TEST_PARAMS = [
    _TINY
    | {
        "horizon": 2,
        "encoder": "tcn",
        "encoder_params": {"hidden_dims": 2, "depth": 1},
        "weight": 0.0,
    },
    _TINY
    | {
        "horizon": 1,
        "encoder": "transformer",
        "encoder_params": {"hidden_dims": 4, "depth": 1, "heads": 1, "ffn_dims": 4},
        "instance_norm": "standard",
        "intervals": "quantile",
    },
]
"""Two cheap sets for sktime's own checks."""
