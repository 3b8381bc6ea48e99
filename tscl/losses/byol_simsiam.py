"""Prediction of one view's embedding from another, without negatives: SimSiam and BYOL.

With a predictor h, p = h(z) and sg the stop-gradient, for each ordered pair of views

    SimSiam  L = -cos(p_1, sg(z_2))
    BYOL     L = |unit(p_1) - sg(unit(z'_2))|^2 = 2 - 2 cos

(Chen and He, "Exploring Simple Siamese Representation Learning", arXiv 2011.10566; Grill et al.,
"Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning", arXiv 2006.07733),
averaged over the pairs (BYOL's paper adds up its two). In BYOL z' comes from a moving average of
the encoder: pass it as ``targets`` of ``between``. Neither repels anything: what prevents collapse
is the predictor with the stop-gradient (and BYOL's average), so the loss has one. It normalises its
hidden layer per sample, where the papers do so per batch, so that any batch fits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tscl.errors import InputError
from tscl.losses.base import LOSSES, ContrastiveLoss, Extra, Reduction, stack_views, unit
from tscl.losses.shared.settings import whole_setting
from tscl.seeding import seeded


@LOSSES.register("simsiam")
class SimSiam(ContrastiveLoss):
    """Negative cosine similarity between predictions and detached embeddings.

    Args:
        dims: D of the embeddings: the loss holds a predictor D -> hidden -> D as parameters.
            Methods fill it in. None is for :meth:`between` with predictions from elsewhere; the
            embeddings taken as their own predictions would collapse, and are refused.
        hidden: width of the predictor's bottleneck; None is a quarter of ``dims``, 8 at least.
        reduction: ``mean``, ``sum`` or ``none`` (per anchor, (pairs, B)).
        seed: of the initial parameters.
        gather: see :class:`ContrastiveLoss`.

    Raises:
        InputError: (forward) without a predictor, or embeddings of other than ``dims`` dimensions.

    Example:
        >>> z = torch.eye(2).expand(2, 2, 2)
        >>> float(SimSiam(dims=None).between(z, z))  # a perfect prediction
        -1.0
    """

    min_batch = 1
    scale = 1.0
    offset = 0.0

    def __init__(
        self,
        dims: int | None,
        *,
        hidden: int | None = None,
        reduction: Reduction = "mean",
        seed: int = 0,
        gather: bool = False,
    ) -> None:
        super().__init__(1.0, reduction, gather=gather)
        for name, value in (("dims", dims), ("hidden", hidden)):
            if value is not None:
                whole_setting(name, value)
        whole_setting("seed", seed, 0)
        self.dims = dims
        self.predictor: nn.Module = nn.Identity()
        if dims is not None:
            width = hidden or max(8, dims // 4)  # normalised, one or two units would be constant
            with seeded(seed, "predictor"):
                self.predictor = nn.Sequential(
                    nn.Linear(dims, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, dims)
                )

    def compute(self, views: Tensor, extra: Extra) -> Tensor:
        """Mean over ordered pairs of views: each view predicts each other, detached."""
        if views.shape[2] != self.dims:
            remedy = f"build the loss with dims={views.shape[2]}: without a predictor it collapses"
            raise InputError("dims", self.dims, remedy)
        predictions = unit(stack_views(self.predictor(views), None))
        return self._compare(predictions, unit(views.detach()), extra.weights)

    def between(
        self, predictions: Tensor, targets: Tensor, *, weights: Tensor | None = None
    ) -> Tensor:
        """The loss of given predictions of targets; each view's prediction with every other view.

        Args:
            predictions: (V, B, D), V >= 2.
            targets: (V, B, D), detached here.
            weights: (B,) weights of the samples.

        Raises:
            InputError: shapes that do not fit, fewer than two views, non-finite values.
        """
        p, t = stack_views(predictions, None), stack_views(targets.detach(), None)
        if p.shape != t.shape:
            raise InputError(
                "predictions, targets", (tuple(p.shape), tuple(t.shape)), "both must have one shape"
            )
        if len(p) < 2:
            raise InputError("views", len(p), "pass at least two views")
        return self._compare(unit(p), unit(t), weights)

    def _compare(self, p: Tensor, t: Tensor, weights: Tensor | None) -> Tensor:
        """The reduced loss of unit predictions and unit targets, (pairs, B) with anchor first."""
        loss = self._pairs(p, t) * -self.scale
        return self.reduce(loss + self.offset if self.offset else loss, weights)

    @staticmethod
    def _pairs(p: Tensor, t: Tensor) -> Tensor:
        """Cosines of ordered pairs of views, (V (V - 1), B), in the order of the predicting view.

        Whole tensors are multiplied: with the targets turned by k, view a meets view a + k.
        """
        n_views = len(p)
        turned = [(p * t.roll(-k, 0)).sum(-1) for k in range(1, n_views)]
        if n_views == 2:
            return turned[0]
        order = [[(b - a) % n_views - 1 for b in range(n_views) if b != a] for a in range(n_views)]
        index = torch.tensor(order, device=p.device).unsqueeze(2)
        return torch.stack(turned, dim=1).take_along_dim(index, dim=1).flatten(0, 1)


@LOSSES.register("byol")
class BYOL(SimSiam):
    """Squared distance of unit predictions and unit targets, in [0, 4]; see :class:`SimSiam`.

    With the embeddings of the moving-average encoder, call
    ``loss.between(loss.predictor(views), averaged_views)``.

    Example:
        >>> z = torch.eye(2).expand(2, 2, 2)
        >>> float(BYOL(dims=None).between(z, -z))  # as far off as can be
        4.0
    """

    scale = 2.0
    offset = 2.0
