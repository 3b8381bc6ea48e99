"""A loss over embeddings inside a method: built by name or object, fed from the batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from tscl.errors import ConfigError, InputError, nearest
from tscl.losses.base import LOSSES
from tscl.methods.base import Batch

LossSpec = str | nn.Module


def build_loss(loss: LossSpec, params: Mapping[str, Any] | None = None) -> nn.Module:
    """The loss registered under a name with its arguments, or a module as it is.

    Raises:
        ConfigError: unknown name or argument, arguments beside a module, or neither of both.
    """
    if isinstance(loss, str):
        return LOSSES.build(loss, **(params or {}))
    if not isinstance(loss, nn.Module):
        raise ConfigError("loss", loss, "pass a name of tscl.losses.LOSSES or a module")
    if params:
        raise ConfigError("loss_params", dict(params), "use it with a loss given by name")
    return loss


def loss_needs(loss: nn.Module, ids: str | None = None) -> frozenset[str]:
    """What a method with ``loss`` and the column ``ids`` reads of a batch (``Method.needs``)."""
    labels = {"labels"} if getattr(loss, "needs_labels", False) else set()
    return frozenset(labels | ({ids} if ids not in (None, "index") else set()))


def batch_column(batch: Batch, name: str) -> Tensor:
    """A column of ``batch.ids``; ``index`` and ``labels`` name those parts of the batch.

    Raises:
        InputError: no such column.
    """
    if name in batch.ids:
        return batch.ids[name]
    if name == "index":
        return batch.index
    if name == "labels" and batch.labels is not None:
        return batch.labels
    known = [*batch.ids, "index", *(["labels"] if batch.labels is not None else [])]
    raise InputError("batch.ids", name, f"add the column; {nearest(name, known)}")


def loss_inputs(loss: nn.Module, batch: Batch, ids: str | None = None) -> dict[str, Tensor | None]:
    """What ``loss`` is given beside embeddings.

    Args:
        loss: ``labels`` of the batch are handed over when its ``needs_labels`` is true.
        batch: the samples.
        ids: column handed over as ``ids`` (see :func:`batch_column`); None hands over none.
    """
    known: dict[str, Tensor | None] = {}
    if ids is not None:
        known["ids"] = batch_column(batch, ids)
    if getattr(loss, "needs_labels", False):
        known["labels"] = batch.labels
    return known
