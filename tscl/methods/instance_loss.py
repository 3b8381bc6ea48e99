"""A loss over embeddings inside a method: built by name or object, fed from the batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from tscl.errors import ConfigError, InputError, nearest
from tscl.losses.base import LOSSES, ContrastiveLoss, Need
from tscl.methods.base import Batch

LossSpec = str | nn.Module


def build_loss(
    loss: LossSpec, params: Mapping[str, Any] | None = None, dims: int | None = None
) -> nn.Module:
    """The loss registered under a name with its arguments, or a module as it is.

    Args:
        loss: a registered name or a module.
        params: its arguments when given by name.
        dims: of the embeddings; handed to a loss that cannot be built without, such as BYOL's.

    Raises:
        ConfigError: unknown name or argument, arguments beside a module, or neither of both.
    """
    if isinstance(loss, str):
        given = dict(params or {})
        wanted = LOSSES.parameters(loss).get("dims")
        if dims is not None and wanted is not None and wanted.default is wanted.empty:
            given.setdefault("dims", dims)
        return LOSSES.build(loss, **given)
    if not isinstance(loss, nn.Module):
        raise ConfigError("loss", loss, "pass a name of tscl.losses.LOSSES or a module")
    if params:
        raise ConfigError("loss_params", dict(params), "use it with a loss given by name")
    return loss


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
        loss: gets the columns it needs (:attr:`tscl.losses.ContrastiveLoss.needs`).
        batch: the samples; its labels are classes or targets, a column ``background`` of its ids
            tells background samples apart.
        ids: column handed over as ``ids`` (see :func:`batch_column`); None hands over none.
    """
    known: dict[str, Tensor | None] = {}
    if ids is not None:
        known["ids"] = batch_column(batch, ids)
    for need in needs(loss):
        if need == "index":
            known["index"] = batch.index
        elif need == "background" and "background" in batch.ids:
            known["background"] = batch.ids["background"]
        elif need != "ids":
            known["targets" if need == "targets" else "labels"] = batch.labels
    return known


def needs(loss: nn.Module) -> tuple[Need, ...]:
    """Columns a loss cannot do without; a module that is no ContrastiveLoss declares none."""
    return loss.needs if isinstance(loss, ContrastiveLoss) else ()


def instance_losses(method: nn.Module) -> list[ContrastiveLoss]:
    """The losses over embeddings in a method."""
    return [module for module in method.modules() if isinstance(module, ContrastiveLoss)]


def needs_labels(loss: nn.Module) -> bool:
    """Whether a loss reads classes, targets or which samples are background."""
    return not {"labels", "targets", "background"}.isdisjoint(needs(loss))


def loss_needs(loss: nn.Module, ids: str | None = None) -> frozenset[str]:
    """What a method with ``loss`` and the column ``ids`` reads of a batch (``Method.needs``)."""
    labels = {"labels"} if needs_labels(loss) else set()
    return frozenset(labels | ({ids} if ids not in (None, "index") else set()))
