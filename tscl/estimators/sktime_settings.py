"""Checks of the settings of the sktime forecaster, before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tscl.errors import ConfigError, InputError
from tscl.forecasters.intervals import check_levels
from tscl.forecasters.network import check_network_params


def check_forecaster(options: Mapping[str, Any]) -> None:
    """Raise ConfigError or InputError for a setting of the forecaster that cannot be used."""
    if options["intervals"] not in ("conformal", "quantile"):
        raise ConfigError("intervals", options["intervals"], "choose conformal or quantile")
    if options["quantile_levels"] is not None:
        check_levels(options["quantile_levels"])
    if not 0 <= options["weight"] < 1:
        raise InputError("weight", options["weight"], "choose lambda in [0, 1)")
    if not 0 <= options["valid_share"] < 1:
        raise InputError("valid_share", options["valid_share"], "choose a share in [0, 1)")
    check_network_params(options["network_params"] or {})


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
