"""Contrast by shared id: trial and patient level of COMET, or any other grouping of samples.

Wang et al., "Contrast Everything: A Hierarchical Contrastive Framework for Medical Time-Series",
NeurIPS 2023, arXiv 2310.14017, section 4: two samples of one trial (or one patient) are
positives. With flattened views a_i, b_j, cosine similarity s_ij = cos(a_i, b_j) / tau and
P = {(i, j): i != j, id_i = id_j},

    L = -1 / (2 |P|) sum_{(i, j) in P} [ log softmax_j(s_i.)_j + log softmax_i(s_.j)_i ]
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tscl.errors import InputError
from tscl.losses.base import diagonal
from tscl.losses.series.views import check_series_views
from tscl.losses.shared.settings import choice_setting, positive_setting
from tscl.pooling import check_pooling, pool_time

Normalize = Literal["embedding", "time", "batch"]
Pairs = Literal["all", "public"]
OwnPair = Literal["denominator", "positive", "exclude"]
_VARIANCE_FLOOR = 1e-6


def check_ids(ids: Tensor, n: int, name: str = "ids") -> Tensor:
    """Integer codes (n,); floats are refused, since float32 merges codes above 2**24.

    Args:
        ids: (n,) codes.
        n: samples.
        name: of the codes, for the error.
    """
    if ids.ndim != 1 or ids.shape[0] != n:
        raise InputError(name, tuple(ids.shape), f"pass one code per sample, ({n},)")
    if ids.is_floating_point() or ids.is_complex():
        raise InputError(name, ids.dtype, "pass integer codes (numpy.unique's inverse gives them)")
    return ids


def same_id(ids: Tensor, *, own: bool = False) -> Tensor:
    """(B, B) boolean: samples i and j share an id; the diagonal is ``own``."""
    same = ids.unsqueeze(0) == ids.unsqueeze(1)
    same.fill_diagonal_(own)
    return same


class IdContrastLoss(nn.Module):
    """Samples that share an id in the batch attract each other across two views.

    Args:
        temperature: softmax temperature tau, > 0.
        normalize: ``embedding`` divides the flattened view by its length, which is the cosine;
            ``time`` first divides every channel by its length along time, as the public code
            does, so that a channel's overall size no longer counts (series of one step have no
            length along time and are taken as they are).
        pairs: ``all`` takes every ordered pair i != j of an id with both views as anchors;
            ``public`` takes only i < j over rows and i > j over columns, so that the later
            sample of a pair is never an anchor.
        own_pair: the two views of one sample stand in the ``denominator`` only (paper's code),
            are a ``positive`` too, or are left out (``exclude``).
        pool: pool each view over time first (see :func:`tscl.pooling.pool_time`), so that
            positives need not agree step by step: samples of one patient are not aligned in
            time. None flattens the steps, as the paper does. Pooled embeddings have no time to
            normalise along: use ``embedding`` or ``batch``.

    Shape:
        z1, z2: (B, T, D) or (B, D); ids: (B,) integers, compared for equality only. Returns a
        scalar, 0 with a zero gradient when no sample has a positive in the batch.

    Raises:
        InputError: shapes or ids that do not fit, non-finite embeddings, unknown option.

    Example:
        >>> z = torch.ones(4, 5, 3)
        >>> float(IdContrastLoss()(z, z, torch.tensor([0, 0, 1, 1])))  # log(B)
        1.3862...
    """

    def __init__(
        self,
        temperature: float = 0.1,
        *,
        normalize: Normalize = "embedding",
        pairs: Pairs = "all",
        own_pair: OwnPair = "denominator",
        pool: str | None = None,
    ) -> None:
        super().__init__()
        self.temperature = positive_setting("temperature", temperature)
        self.normalize = choice_setting("normalize", normalize, get_args(Normalize))
        self.pairs = choice_setting("pairs", pairs, get_args(Pairs))
        self.own_pair = choice_setting("own_pair", own_pair, get_args(OwnPair))
        if pool is not None:
            check_pooling(pool, "pool")
            if normalize == "time":
                raise InputError("normalize", normalize, "with pool choose embedding or batch")
        self.pool = pool

    def forward(self, z1: Tensor, z2: Tensor, ids: Tensor) -> Tensor:
        """The loss of two views.

        Args:
            z1: (B, T, D) or (B, D).
            z2: of the same shape.
            ids: (B,) integer codes of who a sample is from.
        """
        if z1.ndim == 2 and z2.ndim == 2:
            z1, z2 = z1.unsqueeze(1), z2.unsqueeze(1)
        z1, z2 = check_series_views(z1, z2)
        n = z1.shape[0]
        ids = check_ids(ids, n).to(z1.device)
        with torch.autocast(z1.device.type, enabled=False):
            a, b = self._flat(z1), self._flat(z2)
            lengths = _inverse_length(a).unsqueeze(1) * _inverse_length(b).unsqueeze(0)
            logits = (a @ b.T) * lengths / self.temperature
            own = diagonal(logits)
            positive = same_id(ids, own=self.own_pair == "positive")
            if self.own_pair == "exclude":
                logits = logits.masked_fill(own, -torch.inf)
            rows, columns = positive, positive
            if self.pairs == "public":
                rows, columns = positive.triu(), positive.tril()
            return self._terms(logits, rows, columns)

    def _flat(self, z: Tensor) -> Tensor:
        if self.pool is not None:
            z = pool_time(z, self.pool)
        elif self.normalize == "time" and z.shape[1] > 1:
            z = F.normalize(z, dim=1)
        flat = z.flatten(1)
        if self.normalize == "batch" and len(flat) > 1:
            centred = flat - flat.mean(dim=0)
            flat = centred * torch.rsqrt(centred.square().mean(dim=0) + _VARIANCE_FLOOR)
        return flat

    @staticmethod
    def _terms(logits: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Half the mean over ``rows`` of -log row softmax plus half that over ``columns``."""
        if len(logits) == 1:
            return (logits.masked_fill(logits.isneginf(), 0.0) * 0.0).sum()
        terms = []
        for mask, dim in ((rows, 1), (columns, 0)):
            cost = torch.logsumexp(logits, dim=dim, keepdim=True) - logits
            count = mask.sum().clamp_min(1).to(logits.dtype)
            terms.append(cost.masked_fill(~mask, 0.0).sum() / count)
        return 0.5 * (terms[0] + terms[1])


def _inverse_length(z: Tensor) -> Tensor:
    """1 / |z_i| of every row of (B, N), finite for a zero row; makes no copy of ``z``."""
    squared = torch.bmm(z.unsqueeze(1), z.unsqueeze(2)).reshape(-1)
    return torch.rsqrt(squared.clamp_min(torch.finfo(z.dtype).eps ** 2))
