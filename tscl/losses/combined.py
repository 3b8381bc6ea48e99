"""A weighted sum of losses: contrastive and non-contrastive terms on the same embeddings.

Fini et al., "Improved baselines for vision-language pre-training", arXiv 2305.08675, add the losses
of SimSiam, BYOL, Barlow Twins and SwAV to the contrastive one (SiamLIP, BYOLIP, BarLIP, SwALIP).
They report that a better training recipe makes up for most of the gain. The factors of the paper
were not found; those here are settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tscl.errors import InputError
from tscl.losses.base import LOSSES, ContrastiveLoss, Extra
from tscl.losses.shared.settings import floor_setting

Term = str | Mapping[str, Any] | ContrastiveLoss


@LOSSES.register("combined")
class Combined(ContrastiveLoss):
    """``sum_k factors[k] * terms[k](views)``.

    What it needs (columns, samples, views) is what its terms need.

    Args:
        terms: names, mappings ``{"name": ..., **parameters}`` or loss modules.
        factors: one finite factor >= 0 a term; None takes 1 for all.
        gather: see :class:`ContrastiveLoss`; it replaces the terms' own setting.

    Example:
        >>> z = torch.eye(4)
        >>> float(Combined(["infonce", "ntxent"], factors=[1.0, 0.0])(z, z))  # InfoNCE alone
        0.0001...
    """

    def __init__(
        self,
        terms: Sequence[Term] = ("infonce", "barlow_twins"),
        factors: Sequence[float] | None = (1.0, 0.1),
        *,
        gather: bool = False,
    ) -> None:
        super().__init__(1.0, "mean", gather=gather)
        if isinstance(terms, str) or not isinstance(terms, Sequence) or not terms:
            raise InputError("terms", terms, "pass a list of one loss or more")
        factors = [1.0] * len(terms) if factors is None else factors
        if (
            isinstance(factors, str)
            or not isinstance(factors, Sequence)
            or len(factors) != len(terms)
        ):
            raise InputError("factors", factors, f"pass {len(terms)} finite factors of at least 0")
        self.factors = [floor_setting("factors", f) for f in factors]
        losses = [_build(term) for term in terms]
        self.terms = nn.ModuleList(losses)
        for loss in losses:
            if loss.reduction == "none":
                raise InputError("terms", type(loss).__name__, "use reduction mean or sum")
            if loss.reduction == "sum":
                self.reduction = "sum"  # for the check of the weights
        self.needs = tuple(dict.fromkeys(need for loss in losses for need in loss.needs))
        self.min_batch = max(loss.min_batch for loss in losses)
        self.min_views = max(loss.min_views for loss in losses)
        self.power = max(loss.power for loss in losses)
        limits = [loss.max_views for loss in losses if loss.max_views is not None]
        self.max_views = min(limits, default=None)

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """The weighted sum; a term of factor 0 is not computed."""
        values = [
            factor * term.compute(views, extra)  # type: ignore[operator]
            for factor, term in zip(self.factors, self.terms, strict=True)
            if factor
        ]
        return torch.stack(values).sum() if values else views.sum() * 0.0


def _build(term: Term) -> ContrastiveLoss:
    loss: object = term
    if isinstance(term, str):
        loss = LOSSES.build(term)
    elif isinstance(term, Mapping):
        params = dict(term)
        if "name" not in params:
            raise InputError("terms", params, "give the loss a name")
        loss = LOSSES.build(params.pop("name"), **params)
    if not isinstance(loss, ContrastiveLoss):
        raise InputError("terms", loss, "use losses over (B, D) embeddings")
    return loss
