"""TS-TCC: cross-view prediction of later steps (temporal) and contrast of contexts (contextual).

Eldele et al., "Time-Series Representation Learning via Temporal and Contextual Contrasting", arXiv
2106.14112, section 3. A weak view w and a strong view s of each series are encoded; an
autoregressive Transformer summarises steps <= t of a view into a context c_t; linear maps W_k
predict the OTHER view's embedding k steps later (eq. 2):

    L_TC^s = -1/K sum_k log exp(W_k(c_t^s) . z_{t+k}^w) / sum_n exp(W_k(c_t^s) . z_{n,t+k}^w)

with n over the batch, and L_TC^w with the views exchanged. The contextual term is NT-Xent between
the projected contexts of both views (eq. 5), and L = lambda1 (L_TC^s + L_TC^w) + lambda2 L_CC.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tscl.augmentations import AugmentationSpec, build_augmentation
from tscl.encoders.base import EncoderLike
from tscl.errors import InputError
from tscl.losses import NTXent
from tscl.losses.base import unit
from tscl.methods.base import METHODS, Batch, Losses, Method
from tscl.methods.heads import ProjectionHead, check_batch, encode, output_dims
from tscl.seeding import randint

WEAK: AugmentationSpec = {"name": "scaling", "sigma": 1.1, "mean": 2.0}
STRONG: AugmentationSpec = {
    "name": "compose",
    "augmentations": [
        {"name": "permutation", "max_segments": 8, "equal": False},
        {"name": "jitter", "sigma": 0.8},
    ],
}


class ContextModel(nn.Module):
    """A learned token attends to the given steps and becomes their context: (B, t, D) to (B, H).

    Args:
        in_dims: embedding dimensions D.
        dims: width H of the Transformer.
        depth: number of layers.
        heads: attention heads; must divide ``dims``.
        feedforward: width of the layers' middle.
        dropout: dropout inside the layers.

    Raises:
        InputError: ``heads`` does not divide ``dims``.
    """

    def __init__(
        self,
        in_dims: int,
        dims: int = 100,
        depth: int = 4,
        heads: int = 4,
        feedforward: int = 64,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if dims < 1 or heads < 1 or dims % heads:
            raise InputError("context_dims", dims, f"choose a multiple of heads = {heads}")
        self.project = nn.Linear(in_dims, dims)
        self.token = nn.Parameter(torch.randn(1, 1, dims))
        layer = nn.TransformerEncoderLayer(
            dims, heads, feedforward, dropout, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)

    def forward(self, z: Tensor) -> Tensor:
        """Context of all steps of ``z``."""
        steps = self.project(z)
        token = self.token.to(steps.dtype).expand(len(z), -1, -1)
        out: Tensor = self.layers(torch.cat((token, steps), dim=1))[:, 0]
        return out


@METHODS.register("ts_tcc")
class TSTCC(Method):
    """TS-TCC around any encoder.

    The paper's encoder shortens the series (128 steps to 18); here the per-step embeddings are
    max-pooled to ``tokens`` steps before prediction, which keeps the Transformer's cost and the
    meaning of ``horizon`` for any encoder.

    Args:
        encoder: the encoder to train.
        weak: augmentation of the weak view (default: scaling as in the public code).
        strong: augmentation of the strong view (default: permutation and jitter).
        horizon: number K of predicted steps, in tokens.
        tokens: time steps after pooling; series with fewer steps keep theirs.
        context_dims: width of the Transformer.
        context_depth: its layers.
        context_heads: heads of its attention.
        context_dropout: its dropout.
        temporal_weight: lambda1.
        contextual_weight: lambda2.
        temperature: of the contextual NT-Xent.
        mask: latent mask mode of both views.

    Example:
        >>> from tscl.encoders import ENCODERS
        >>> from tscl.methods.base import Batch
        >>> x = torch.randn(8, 60, 2, generator=torch.Generator().manual_seed(0))
        >>> encoder = ENCODERS.build("dilated", input_dims=2, output_dims=4, hidden_dims=4, depth=2)
        >>> batch = Batch(x, torch.arange(8))
        >>> method = TSTCC(encoder)
        >>> sorted(method.losses(batch, method.phases(0)[0], torch.Generator().manual_seed(0)))
        ['contextual', 'loss', 'temporal']
    """

    title = "TS-TCC"

    def __init__(
        self,
        encoder: EncoderLike | nn.Module,
        *,
        weak: AugmentationSpec = WEAK,
        strong: AugmentationSpec = STRONG,
        horizon: int = 6,
        tokens: int = 18,
        context_dims: int = 100,
        context_depth: int = 4,
        context_heads: int = 4,
        context_dropout: float = 0.1,
        temporal_weight: float = 1.0,
        contextual_weight: float = 0.7,
        temperature: float = 0.2,
        mask: str = "all_true",
    ) -> None:
        super().__init__(encoder)
        if horizon < 1:
            raise InputError("horizon", horizon, "predict at least one step")
        if tokens <= horizon:
            raise InputError("tokens", tokens, f"keep more than horizon = {horizon} steps")
        dims = output_dims(self.encoder)
        self.weak = build_augmentation(weak)
        self.strong = build_augmentation(strong)
        self.context = ContextModel(
            dims, context_dims, context_depth, context_heads, dropout=context_dropout
        )
        self.predictors = nn.ModuleList(nn.Linear(context_dims, dims) for _ in range(horizon))
        self.head = ProjectionHead(context_dims, max(1, dims // 2), max(1, dims // 4))
        self.contrast = NTXent(temperature)
        self.horizon = horizon
        self.tokens = tokens
        self.temporal_weight = temporal_weight
        self.contextual_weight = contextual_weight
        self.mask = mask

    def losses(self, batch: Batch, phase: str, generator: torch.Generator) -> Losses:
        """``loss`` and its terms ``temporal`` (both directions) and ``contextual``.

        Raises:
            InputError: fewer than two samples, or no more steps than ``horizon``.
        """
        x = check_batch(batch, samples=2, steps=self.horizon + 1)
        weak = self._steps(self.weak(x, generator), generator)
        strong = self._steps(self.strong(x, generator), generator)
        from_weak, context_weak = self._predict(weak, strong, generator)
        from_strong, context_strong = self._predict(strong, weak, generator)
        temporal = from_weak + from_strong
        contextual = self.contrast(self.head(context_weak), self.head(context_strong))
        total = self.temporal_weight * temporal + self.contextual_weight * contextual
        return {"loss": total, "temporal": temporal, "contextual": contextual}

    def _steps(self, view: Tensor, generator: torch.Generator) -> Tensor:
        """Unit embeddings of a view, max-pooled to at most ``tokens`` steps."""
        z = encode(self.encoder, view, self.mask, generator)
        if z.shape[1] <= self.horizon:
            raise InputError(
                "series length",
                view.shape[1],
                f"the encoder gives {z.shape[1]} embeddings of it; horizon = {self.horizon} needs "
                "more: pass longer series, lower horizon or take an encoder of lower stride",
            )
        if z.shape[1] > self.tokens:
            z = F.adaptive_max_pool1d(z.transpose(1, 2), self.tokens).transpose(1, 2)
        return unit(z)

    def _predict(
        self, source: Tensor, target: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Prediction loss from the source's context at a random step, and that context."""
        t = int(randint(0, source.shape[1] - self.horizon, (1,), generator))
        context = self.context(source[:, : t + 1])
        predicted = torch.stack([predictor(context) for predictor in self.predictors])
        later = target[:, t + 1 : t + 1 + self.horizon].transpose(0, 1)
        return prediction_loss(predicted, later), context


def prediction_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """L_TC of the module docstring, for (K, B, D) predictions and targets: a scalar."""
    logits = predicted @ target.transpose(1, 2)
    own = logits.diagonal(dim1=1, dim2=2)
    return (torch.logsumexp(logits, dim=2) - own).mean()
