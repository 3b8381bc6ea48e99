"""A trained encoder for other channels: its input layer drawn anew, everything else kept."""

from __future__ import annotations

import logging

import torch
from torch import nn

from tscl.encoders.base import ENCODERS, Encoder
from tscl.errors import InputError, is_whole
from tscl.seeding import seeded

logger = logging.getLogger(__name__)


def with_new_input(encoder: nn.Module, channels: int, seed: int = 0) -> Encoder:
    """A copy of ``encoder`` for ``channels`` channels, of which no name need be known.

    Drawn anew are the layers with a weight whose shape depends on the number of channels (found
    by building the encoder for two such numbers), also where that number stays the same. All
    other weights and running figures are kept. What is drawn anew is said in the log.

    Args:
        encoder: a registered encoder; it is not changed.
        channels: input channels of the copy.
        seed: of the new weights.

    Raises:
        InputError: an encoder that is not registered, a number of channels below 1, or an encoder
            of which nothing could be kept.

    Example:
        >>> encoder = ENCODERS.build("dilated", input_dims=12, hidden_dims=8, depth=2)
        >>> with_new_input(encoder, 2)(torch.zeros(1, 50, 2)).shape
        torch.Size([1, 50, 320])
    """
    name = getattr(encoder, "name", None)
    if not isinstance(encoder, Encoder) or name not in ENCODERS.names():
        remedy = "register the class in ENCODERS: it is built again for other channels"
        raise InputError("encoder", type(encoder).__name__, remedy)
    if not is_whole(channels) or channels < 1:
        raise InputError("channels", channels, "give a whole number of at least 1")
    with seeded(seed, "new input layer"):
        copy = ENCODERS.build(name, **{**encoder.config(), "input_dims": int(channels)})
    other = copy
    if channels == encoder.input_dims:
        with seeded(seed):
            other = ENCODERS.build(name, **{**encoder.config(), "input_dims": channels + 1})
    old, fresh, wider = encoder.state_dict(), copy.state_dict(), other.state_dict()
    new = {key for key in fresh if key not in old or old[key].shape != wider[key].shape}
    layers = {_layer(copy, key) for key in new}
    new |= {key for key in fresh if _layer(copy, key) in layers}
    if len(new) == len(fresh):
        raise InputError("encoder", name, "every weight depends on the channels; train a new one")
    with torch.no_grad():
        for key in fresh.keys() - new:
            fresh[key].copy_(old[key])
    sizes = sum(fresh[key].numel() for key in new), sum(value.numel() for value in fresh.values())
    logger.warning(
        "input layer drawn anew for %d channels (seed %d): %s; %d of %d weights",
        channels,
        seed,
        ", ".join(sorted(layers)) or "none depends on the channels",
        *sizes,
    )
    return copy.train(encoder.training)


def _layer(module: nn.Module, key: str) -> str:
    """Name of the layer that holds a weight; the weight's own name where it holds layers too."""
    home = key.partition(".parametrizations.")[0] if ".parametrizations." in key else ""
    home = home or key.rpartition(".")[0]
    inner = {name for name, _ in module.get_submodule(home).named_children()}
    return key if inner - {"parametrizations"} or not home else home
