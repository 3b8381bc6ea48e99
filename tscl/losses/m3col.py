"""M3Co: mixtures of one modality must point at both their sources in the other modality.

Kumar et al., "Harnessing Shared Relations via Multimodal Mixup Contrastive Learning", arXiv
2409.17777. For a mixture of modality m, x~_i = l_i x_i + (1 - l_i) x_{k(i)}, embedded as u_i, and
clean embeddings v of the other modality, with S = u v' / tau:

    L = -1/B sum_i [ l_i log softmax(S_i.)_i + (1 - l_i) log softmax(S_i.)_{k(i)} ]

and the same with softmax along columns, averaged (eq. and both directions as in the authors'
released code). A share of ``mix_share`` samples is mixed, l ~ Beta(b, b). In a second phase the
authors drop mixing for a soft target: softmax of the fixed modality's own similarities.

Deviations: where k(i) = i the release overwrites l_i by 1 - l_i; here both shares add up to 1. The
release mixes inputs; :func:`mixed_contrast` takes embeddings of mixed inputs, while the registered
loss, which sees embeddings only, mixes those.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tscl.errors import InputError
from tscl.losses.base import LOSSES, Extra, Reduction, stack_views, unit
from tscl.losses.labelled import DrawingLoss
from tscl.losses.shared.columns import require
from tscl.losses.shared.settings import choice_setting, number_setting, positive_setting


def mixed_contrast(
    mixed: Tensor, fixed: Tensor, partner: Tensor, share: Tensor, temperature: float
) -> Tensor:
    """Loss (B,) of the i-th mixture of one modality against the clean other modality.

    Args:
        mixed: (B, D) embeddings of mixtures ``share x_i + (1 - share) x_partner``.
        fixed: (B, D) embeddings of the other modality, clean.
        partner: (B,) index of the second source.
        share: (B,) share of the first source, in [0, 1].
        temperature: tau > 0.

    Raises:
        InputError: temperature, shapes or shares that do not fit, non-finite embeddings.
    """
    positive_setting("temperature", temperature)
    u, v = unit(stack_views(mixed, fixed))
    n = len(u)
    if partner.shape != (n,) or share.shape != (n,):
        raise InputError("partner, share", (tuple(partner.shape), tuple(share.shape)), f"({n},)")
    ok = ((share >= 0) & (share <= 1)).all()
    require(ok, "share", share.tolist, "shares must lie in [0, 1]")
    share = share.to(u.dtype)
    rows = torch.arange(n, device=u.device)
    target = torch.diag(share).index_put((rows, partner), 1 - share, accumulate=True)
    logits = u @ v.T / temperature
    down = (logits.log_softmax(dim=0) * target).sum(dim=1)
    across = (logits.log_softmax(dim=1) * target).sum(dim=1)
    value: Tensor = (across + down) / -2.0
    return value


def soft_contrast(moving: Tensor, fixed: Tensor, temperature: float) -> Tensor:
    """Loss (B,) of the second phase: targets are the softmax of ``fixed``'s own similarities.

    Args:
        moving: (B, D) embeddings that are compared.
        fixed: (B, D) of the other modality.
        temperature: tau > 0.
    """
    positive_setting("temperature", temperature)
    u, v = unit(stack_views(moving, fixed))
    target = (v @ v.T / temperature).softmax(dim=1)
    logits = u @ v.T / temperature
    across = (logits.log_softmax(dim=1) * target).sum(dim=1)
    down = (logits.T.log_softmax(dim=1) * target).sum(dim=1)
    value: Tensor = (across + down) / -2.0
    return value


@LOSSES.register("m3col")
class M3Co(DrawingLoss):
    """M3Co between modalities: two lead groups, ECG and EEG, ECG and report vectors.

    Every view is one modality; each ordered pair of them contributes mixtures of the first against
    the second.

    Args:
        temperature: tau > 0.
        reduction: ``mean``, ``sum`` or ``none`` (per anchor, (pairs, B)).
        phase: ``mixup`` or ``soft`` (the second training phase).
        beta: b > 0 of Beta(b, b).
        mix_share: share of samples that are mixed, in [0, 1]; 0 is the symmetric InfoNCE.
        seed: of the draws, see :class:`DrawingLoss`.
        gather: see :class:`ContrastiveLoss`.

    Example:
        >>> z = torch.eye(4)
        >>> float(M3Co(temperature=0.5, mix_share=0.0)(z, z))  # symmetric InfoNCE
        0.3407...
    """

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: Reduction = "mean",
        *,
        phase: Literal["mixup", "soft"] = "mixup",
        beta: float = 0.15,
        mix_share: float = 0.5,
        seed: int = 0,
        gather: bool = False,
    ) -> None:
        super().__init__(temperature, reduction, seed, gather=gather)
        if not 0 <= number_setting("mix_share", mix_share) <= 1:
            raise InputError("mix_share", mix_share, "choose a share in [0, 1]")
        self.phase = choice_setting("phase", phase, ("mixup", "soft"))
        self.beta_parameter = positive_setting("beta", beta)
        self.mix_share = mix_share

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over ordered pairs of modalities and samples."""
        n_views, n, _ = views.shape
        call = self.next_draw()
        terms = []
        for a in range(n_views):
            if self.phase == "mixup":
                partner = self.permutation(n, call, f"order {a}").to(
                    views.device, non_blocking=True
                )
                draws = self.beta(
                    self.beta_parameter, self.beta_parameter, (n_views, n), views, call
                )
                mixing = self.beta(1.0, 1.0, (2 * n_views, n), views, call)[n_views + a]
                share = torch.where(mixing < self.mix_share, draws[a], torch.ones_like(draws[a]))
                mixed = share.unsqueeze(1) * views[a] + (1 - share).unsqueeze(1) * views[a][partner]
            for b in range(n_views):
                if a == b:
                    continue
                if self.phase == "soft":
                    terms.append(soft_contrast(views[a], views[b], self.temperature))
                else:
                    terms.append(mixed_contrast(mixed, views[b], partner, share, self.temperature))
        return self.reduce(torch.stack(terms), extra.weights)
