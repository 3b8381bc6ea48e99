"""Pickles and copies of estimators: a registered encoder goes by name, arguments and weights."""

from __future__ import annotations

from typing import Any

import torch
from sklearn.base import BaseEstimator
from torch import nn
from torch.nn.utils import parametrize

from tscl.encoders import ENCODERS, Encoder


class EncoderByName(BaseEstimator):
    """An estimator with ``encoder_`` and ``method_``, of which not every module can be pickled."""

    encoder_: nn.Module

    def __getstate__(self) -> dict[str, Any]:
        """State with the encoder by name; a method of weight-normalised layers becomes None."""
        state = dict(super().__getstate__())
        encoder = state.get("encoder_")
        if isinstance(encoder, Encoder) and getattr(encoder, "name", None) in ENCODERS.names():
            del state["encoder_"]
            state["_saved_encoder"] = (encoder.name, encoder.config(), encoder.state_dict())
        method = state.get("method_")
        if isinstance(method, nn.Module) and any(
            map(parametrize.is_parametrized, method.modules())
        ):
            state["method_"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        saved = state.pop("_saved_encoder", None)
        super().__setstate__(state)
        if saved is not None:
            name, config, weights = saved
            with torch.random.fork_rng(devices=[]):
                encoder = ENCODERS.build(name, **config)
            encoder.load_state_dict(weights)
            self.encoder_ = encoder.eval()
