"""Encoders saved by the public code of TS2Vec, CoST, AutoTCL and COMET, as ones of this library.

All four save the state of one network: a linear layer, residual dilated convolutions, and, in CoST
and AutoTCL, causal convolutions whose mean is taken. Names may begin with those of the wrappers
(``module.`` of weight averaging and of data parallelism, ``_net.``).
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tscl.encoders import ENCODERS
from tscl.encoders.base import Encoder
from tscl.errors import CheckpointError
from tscl.saving.tensors import load_module

_WRAPPERS = re.compile(r"^(module\.|_net\.)+")
_BLOCK = "feature_extractor.net."
_UNUSED = ("n_averaged", "sfd.")  # of weight averaging, and CoST's seasonal part


def load_published(path: str | Path) -> Encoder:
    """The encoder of a file written by ``torch.save(network.state_dict(), path)``.

    Only tensors are read (``weights_only``), so the file cannot run code.

    Args:
        path: ``.pt``, ``.pth`` or ``.pkl`` file.

    Returns:
        A ``dilated`` encoder, or ``cost`` when there are causal convolutions; in evaluation mode.

    Raises:
        CheckpointError: no such file, not one of tensors alone, or tensors of another network.
    """
    try:
        state = torch.load(Path(path), map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError("file", path, f"cannot be read as tensors: {error}") from None
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError("file", path, "holds something else than a network's state")
    return published_encoder(state)


def published_encoder(state: Mapping[str, Tensor]) -> Encoder:
    """See :func:`load_published`; ``state`` maps the public code's names to tensors.

    Raises:
        CheckpointError: a tensor is missing, unexpected or misshapen.
    """
    named = {_WRAPPERS.sub("", str(name)): value for name, value in state.items()}
    tensors = {name: value for name, value in named.items() if not name.startswith(_UNUSED)}
    config = _config(tensors)
    lengths = [tensors[name].shape[-1] for name in _mixture(tensors)]
    mixed = bool(lengths)
    if mixed:
        config |= {"kernels": lengths, "dropout": 0.0}
    encoder: Encoder = ENCODERS.build("cost" if mixed else "dilated", **config)
    ours = {_ours(name, mixed): _turned(name, value) for name, value in tensors.items()}
    load_module(encoder, ours, "published weights")
    return encoder.eval()


def _config(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Sizes of the network, from the shapes of its tensors."""
    blocks = {name.split(".")[2] for name in tensors if name.startswith(_BLOCK)}
    last = f"{_BLOCK}{len(blocks) - 1}.conv2.conv.weight"
    for name, rank in (("input_fc.weight", 2), (last, 3), (f"{_BLOCK}1.conv1.conv.weight", 3)):
        if name not in tensors or tensors[name].ndim != rank:
            raise CheckpointError("published weights", name, "it is not there: another network")
    hidden, inputs = tensors["input_fc.weight"].shape
    return {
        "input_dims": int(inputs),
        "output_dims": int(tensors[last].shape[0]),
        "hidden_dims": int(hidden),
        "depth": len(blocks) - 1,
        "kernel_size": int(tensors[last].shape[2]),
    }


def _mixture(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of the causal convolutions' weights in their order."""
    numbers = sorted(
        int(name.split(".")[1]) for name in tensors if re.fullmatch(r"tfd\.\d+\.weight", name)
    )
    return [f"tfd.{number}.weight" for number in numbers]


def _ours(name: str, mixed: bool) -> str:
    """This library's name of a tensor of the public code."""
    if match := re.fullmatch(r"tfd\.(\d+)\.(weight|bias)", name):
        return f"{'weights' if match[2] == 'weight' else 'biases'}.{match[1]}"
    name = name.replace(_BLOCK, "blocks.").replace(".conv.", ".")
    return f"backbone.{name}" if mixed else name


def _turned(name: str, value: Tensor) -> Tensor:
    """Convolutions are stored as (taps, in, out) here, 1x1 ones as linear layers."""
    if value.ndim != 3:
        return value
    return value.squeeze(-1) if ".projector." in name else value.permute(2, 1, 0).contiguous()
