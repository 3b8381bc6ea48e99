"""A weighted sum of losses: contrastive and non-contrastive terms on the same embeddings.

Fini et al. 2023, arXiv 2305.08675, add the losses of SimSiam, BYOL, Barlow Twins and SwAV to the
contrastive one (SiamLIP, BYOLIP, BarLIP, SwALIP). They report that a better training recipe makes
up for most of the gain. The factors of the paper were not found; those here are settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tscl.errors import InputError
from tscl.losses.base import LOSSES, ContrastiveLoss
from tscl.losses.shared.settings import floor_setting

Term = str | Mapping[str, Any] | ContrastiveLoss


@LOSSES.register("combined")
class Combined(ContrastiveLoss):
    """``sum_k factors[k] * terms[k](views)``.

    Args:
        terms: names, mappings ``{"name": ..., **parameters}`` or loss modules.
        factors: one finite factor >= 0 a term; None takes 1 for all.
        gather: see :class:`ContrastiveLoss`; it replaces the terms' own setting.

    Shape:
        z1, z2: (B, D); or z1: (V, B, D), as far as the terms take it. Returns a scalar.
    """

    min_batch = 1

    def __init__(
        self,
        terms: Sequence[Term] = ("infonce", "barlow_twins"),
        factors: Sequence[float] | None = (1.0, 0.1),
        *,
        gather: bool = False,
    ) -> None:
        super().__init__(1.0, "mean", gather=gather)
        if isinstance(terms, str) or not isinstance(terms, Sequence):
            raise InputError("terms", terms, "pass a list of losses")
        if not terms:
            raise InputError("terms", list(terms), "name at least one loss")
        factors = [1.0] * len(terms) if factors is None else factors
        if isinstance(factors, str) or not isinstance(factors, Sequence):
            raise InputError("factors", factors, f"pass {len(terms)} finite factors of at least 0")
        factors = [floor_setting("factors", f) for f in factors]
        if len(factors) != len(terms):
            raise InputError("factors", factors, f"pass {len(terms)} finite factors of at least 0")
        built = [_build(t) for t in terms]
        self.terms = nn.ModuleList(built)
        self.factors = factors
        for term in built:
            if term.reduction == "none":
                raise InputError("terms", type(term).__name__, "use reduction mean or sum")
            term.gather = False
        self.needs_labels = any(  # type: ignore[misc]
            t.needs_labels for t in built
        )

    def compute(
        self,
        views: Tensor,
        *,
        labels: Tensor | None,
        ids: Tensor | None,
        weights: Tensor | None,
    ) -> Tensor:
        """The weighted sum; a term of factor 0 is not computed."""
        values = [
            factor * term(views, None, labels=labels, ids=ids, weights=weights)
            for factor, term in zip(self.factors, self.terms, strict=True)
            if factor
        ]
        return torch.stack(values).sum() if values else views.sum() * 0.0


def _build(term: Term) -> ContrastiveLoss:
    built: object = term
    if isinstance(term, str):
        built = LOSSES.build(term)
    elif isinstance(term, Mapping):
        params = dict(term)
        if "name" not in params:
            raise InputError("terms", params, "give the loss a name")
        built = LOSSES.build(params.pop("name"), **params)
    if not isinstance(built, ContrastiveLoss):
        raise InputError("terms", built, "use losses over (B, D) embeddings")
    return built
