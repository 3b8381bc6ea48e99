"""AutoTCL: contrastive learning with a learned augmentation.

Zheng et al., "Parametric Augmentation for Time Series Contrastive Learning", ICLR 2024,
arXiv 2402.10434.
Two players are trained in turn. The augmentation network minimises, by the principle of relevant
information, a discrepancy between the embeddings of input and view plus a sparsity and a
smoothness term of the mask h (section 3.3); the encoder minimises a global InfoNCE between input
and view plus a weighted local InfoNCE between neighbouring sub-windows (section 3.4).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tscl.augmentations.parametric import AugmentedView, ParametricAugmentation
from tscl.encoders.base import ENCODERS, EncoderLike, evaluating
from tscl.errors import ConfigError, InputError, check_choice
from tscl.losses.genview import quality_weights
from tscl.losses.infonce import InfoNCE
from tscl.losses.mmd import MMD
from tscl.losses.series.local_infonce import LocalInfoNCE
from tscl.methods.base import METHODS, Batch, Losses, Method, ParameterGroup
from tscl.methods.heads import draw_latent_mask, output_dims
from tscl.methods.instance_loss import build_loss, loss_inputs, loss_needs
from tscl.seeding import randint

Discrepancy = Literal["mmd", "adversarial", "cooperative", "none"]


def sparsity(openness: Tensor, threshold: float, form: str = "mean") -> Tensor:
    """relu(mean h - threshold): keeps the share of kept entries small.

    Args:
        openness: (B, T, C') the mask h.
        threshold: share that costs nothing.
        form: ``mean``; ``channel_sum`` sums over channels before the mean, as the public code does,
            so that the threshold then depends on the number of channels.
    """
    kept = openness.sum(dim=-1).mean() if form == "channel_sum" else openness.mean()
    return torch.relu(kept - threshold)


def smoothness(
    openness: Tensor, generator: torch.Generator | None, *, near: int = 1, form: str = "paper"
) -> Tensor:
    """Temporal smoothness of h at a random time t of each sample, against t +- 1 and a random s.

    ``|h_t - h_{t-1}| + |h_t - h_{t+1}|`` plus ``|h_t - h_s|`` when s is near t and ``1 - |h_t -
    h_s|`` otherwise.

    Args:
        openness: (B, T, C') the mask h.
        generator: source of t and s.
        near: steps within which s is near.
        form: ``paper``; ``public`` repeats the public code: times are drawn for the batch and
            applied to every sample, and the two cases of s are exchanged.
    """
    batch, length = openness.shape[:2]
    if length < 4:
        return openness.sum() * 0.0
    t = randint(1, length - 2, (batch,), generator, openness.device)
    s = randint(1, length - 2, (batch,), generator, openness.device)
    if form == "public":
        pick = openness[:, t], openness[:, t - 1], openness[:, t + 1], openness[:, s]
        pull = ((s - t) > 1).to(openness.dtype)[None, :, None]
    else:
        rows = torch.arange(batch, device=openness.device)
        pick = (
            openness[rows, t],
            openness[rows, t - 1],
            openness[rows, t + 1],
            openness[rows, s],
        )
        pull = ((s - t).abs() <= near).to(openness.dtype)[:, None]
    here, before, after, other = pick
    difference = (here - other).abs()
    terms = (
        (here - before).abs()
        + (here - after).abs()
        + pull * difference
        + (1 - pull) * (1 - difference)
    )
    return terms.mean()


@METHODS.register("autotcl")
class AutoTCLMethod(Method):
    """AutoTCL around any encoder.

    Args:
        encoder: the encoder to train.
        augmentation: a ready augmentation network, or None to build one from the next arguments.
        aug_encoder: name of the small encoder.
        aug_dim: its output dimensions.
        aug_hidden: its hidden dimensions.
        aug_depth: its blocks.
        aug_dropout: its dropout.
        aug_params: further arguments of :class:`ParametricAugmentation` (bias, gamma, zeta,
            temperature, hard, h_logits, h_init, use_g, use_h).
        loss: global contrastive loss between max-pooled embeddings: name or module.
        loss_params: its arguments when given by name.
        ids: column of ``batch.ids`` (or ``index``) handed to the loss; None hands over none. A loss
            that needs labels is given those of the batch.
        temperature: of the default InfoNCE.
        symmetric: InfoNCE both ways; False is the public code's one way.
        local_weight: weight of the local InfoNCE.
        local_params: arguments of LocalInfoNCE.
        local_views: ``both`` applies it to the input's and the view's representation, ``input``
            to the input's only (the public code).
        discrepancy: ``mmd``; ``adversarial`` maximises InfoNCE, ``cooperative`` minimises it;
            ``none`` leaves the regularisers alone.
        reg_weight: weight of the sparsity term.
        threshold: its threshold.
        regular_weight: weight of the smoothness term.
        sparsity_form: see :func:`sparsity`.
        smoothness_form: see :func:`smoothness`.
        mask: latent mask of the encoder phase (:data:`tscl.masking.MASK_MODES`).
        aug_mask: latent mask inside the augmentation network.
        ratio_step: one augmentation update every so many encoder steps (the paper's M).
        meta_lr: learning rate of the augmentation network.
        augmentation_sees: ``encoder``; ``backbone`` takes the discrepancy on ``encoder.backbone``
            (CoST's network before its mixture), as the public code does by accident.
        fixed_channels: leading channels (covariates) that pass the augmentation unchanged.
        view_quality: weigh each pair of the global loss by the quality of its learned view
            (GenView, :func:`tscl.losses.genview.quality_weights`, its gamma) with the mask h,
            the mean over channels, as foreground; None weighs all alike.

    Example:
        >>> from tscl.encoders import ENCODERS
        >>> from tscl.methods.base import Batch
        >>> x = torch.randn(8, 60, 2, generator=torch.Generator().manual_seed(0))
        >>> encoder = ENCODERS.build("dilated", input_dims=2, output_dims=4, hidden_dims=4, depth=2)
        >>> batch = Batch(x, torch.arange(8))
        >>> method = AutoTCLMethod(encoder)
        >>> sorted(method.losses(batch, method.phases(0)[0], torch.Generator().manual_seed(0)))
        ['discrepancy', 'kept', 'loss', 'sparsity']
    """

    title = "AutoTCL"

    def __init__(
        self,
        encoder: EncoderLike | nn.Module,
        *,
        augmentation: ParametricAugmentation | None = None,
        aug_encoder: str = "dilated",
        aug_dim: int = 16,
        aug_hidden: int = 64,
        aug_depth: int = 3,
        aug_dropout: float = 0.1,
        aug_params: dict[str, Any] | None = None,
        loss: str | nn.Module = "infonce",
        loss_params: dict[str, Any] | None = None,
        ids: str | None = None,
        temperature: float = 1.0,
        symmetric: bool = True,
        local_weight: float = 0.3,
        local_params: dict[str, Any] | None = None,
        local_views: Literal["both", "input"] = "both",
        discrepancy: Discrepancy = "mmd",
        reg_weight: float = 0.003,
        threshold: float = 0.4,
        regular_weight: float = 0.0,
        sparsity_form: Literal["mean", "channel_sum"] = "mean",
        smoothness_form: Literal["paper", "public"] = "paper",
        mask: str = "all_true",
        aug_mask: str = "all_true",
        ratio_step: int = 1,
        meta_lr: float = 1e-2,
        augmentation_sees: Literal["encoder", "backbone"] = "encoder",
        fixed_channels: int = 0,
        view_quality: float | None = None,
    ) -> None:
        super().__init__(encoder)
        if view_quality is not None and not view_quality >= 0:
            raise InputError("view_quality", view_quality, "use 0 or more, or None")
        if ratio_step < 1:
            raise InputError("ratio_step", ratio_step, "use 1 or more encoder steps")
        for field, value, known in (
            ("discrepancy", discrepancy, ("mmd", "adversarial", "cooperative", "none")),
            ("sparsity_form", sparsity_form, ("mean", "channel_sum")),
            ("smoothness_form", smoothness_form, ("paper", "public")),
            ("local_views", local_views, ("both", "input")),
            ("augmentation_sees", augmentation_sees, ("encoder", "backbone")),
        ):
            check_choice(field, value, known, error=ConfigError)
        if augmentation_sees == "backbone" and not hasattr(encoder, "backbone"):
            raise ConfigError("augmentation_sees", "backbone", "only CoST's encoder has a backbone")
        if augmentation is None:
            sizes: dict[str, Any] = {
                "input_dims": encoder.input_dims,
                "output_dims": aug_dim,
                "hidden_dims": aug_hidden,
                "depth": aug_depth,
                "dropout": aug_dropout,
            }
            augmentation = ParametricAugmentation(
                ENCODERS.build(aug_encoder, **sizes),
                fixed_channels=fixed_channels,
                **(aug_params or {}),
            )
        self.augmentation = augmentation
        if loss == "infonce":
            given = loss_params or {}
            loss_params = {"temperature": temperature, "symmetric": symmetric, **given}
        self.loss = build_loss(loss, loss_params, output_dims(self.encoder))
        self.ids = ids
        self.needs = loss_needs(self.loss, ids)
        self.local = LocalInfoNCE(**(local_params or {}))
        self.mmd = MMD()
        self.contrast = InfoNCE(temperature, symmetric=symmetric)
        self.local_weight = local_weight
        self.local_views = local_views
        self.discrepancy = discrepancy
        self.reg_weight = reg_weight
        self.threshold = threshold
        self.regular_weight = regular_weight
        self.sparsity_form = sparsity_form
        self.smoothness_form = smoothness_form
        self.mask = mask
        self.aug_mask = aug_mask
        self.ratio_step = ratio_step
        self.meta_lr = meta_lr
        self.view_quality = view_quality
        self.augmentation_sees = augmentation_sees

    def groups(self) -> dict[str, ParameterGroup]:
        """Encoder (with the loss's own parameters) and augmentation network, an optimiser each."""
        return {
            "augmentation": ParameterGroup(list(self.augmentation.parameters()), lr=self.meta_lr),
            "encoder": ParameterGroup([*self.encoder.parameters(), *self.loss.parameters()]),
        }

    def phases(self, step: int) -> tuple[str, ...]:
        """The augmentation network moves first, every ``ratio_step`` steps."""
        return ("augmentation", "encoder") if step % self.ratio_step == 0 else ("encoder",)

    def losses(self, batch: Batch, phase: str, generator: torch.Generator) -> Losses:
        """Loss terms of one player; the other one's parameters only pass gradients through."""
        if phase == "augmentation":
            return self._augmentation_losses(batch.x, generator)
        return self._encoder_losses(batch, generator)

    def view(self, x: Tensor, generator: torch.Generator | None = None) -> AugmentedView:
        """The learned view of ``x``: deterministic without a generator."""
        augmented: AugmentedView = self.augmentation(x, generator, deterministic=generator is None)
        return augmented

    def learned_mask(self, x: Tensor) -> Tensor:
        """Openness of h for each value of ``x``, (B, T, C)."""
        with torch.no_grad():
            return self.view(x).openness

    def _augment(self, x: Tensor, generator: torch.Generator) -> AugmentedView:
        mask = None
        if self.aug_mask != "all_true":
            mask = draw_latent_mask(self.augmentation.embedder, self.aug_mask, x, generator)
        augmented: AugmentedView = self.augmentation(x, generator, mask=mask)
        return augmented

    def _augmentation_losses(self, x: Tensor, generator: torch.Generator) -> Losses:
        augmented = self._augment(x, generator)
        terms: dict[str, Tensor] = {}
        total = x.new_zeros(())
        if self.discrepancy != "none":
            network: Any = self.encoder
            if self.augmentation_sees == "backbone":
                network = self.encoder.backbone
            with evaluating(self.encoder):
                with torch.no_grad():
                    z_x = network(x).amax(dim=1)
                z_v = network(augmented.view).amax(dim=1)
            if self.discrepancy == "mmd":
                distance = self.mmd(z_x, z_v)
            else:
                sign = -1.0 if self.discrepancy == "adversarial" else 1.0
                distance = sign * self.contrast(z_x, z_v)
            terms["discrepancy"] = distance
            total = total + distance
        terms["sparsity"] = sparsity(augmented.openness, self.threshold, self.sparsity_form)
        total = total + self.reg_weight * terms["sparsity"]
        if self.regular_weight:
            terms["smoothness"] = smoothness(
                augmented.openness, generator, form=self.smoothness_form
            )
            total = total + self.regular_weight * terms["smoothness"]
        kept = augmented.h[..., self.augmentation.fixed_channels :]
        return {"loss": total, "kept": kept.mean(), **terms}

    def _encoder_losses(self, batch: Batch, generator: torch.Generator) -> Losses:
        x = batch.x
        with torch.no_grad():
            augmented = self._augment(x, generator)
        both = torch.cat((x, augmented.view))
        mask = None
        if self.mask != "all_true":
            mask = draw_latent_mask(self.encoder, self.mask, both, generator)
        z_x, z_v = self.encoder(both, mask).chunk(2)
        known = loss_inputs(self.loss, batch, self.ids)
        if self.view_quality is not None:
            kept = augmented.h[..., self.augmentation.fixed_channels :].mean(dim=-1).clamp(0, 1)
            if kept.shape[1] != z_x.shape[1]:  # an encoder coarser than its input
                kept = F.adaptive_avg_pool1d(kept.unsqueeze(1), z_x.shape[1]).squeeze(1)
            known["weights"] = quality_weights(z_x, z_v, gamma=self.view_quality, foreground=kept)
        total = self.loss(z_x.amax(dim=1), z_v.amax(dim=1), **known)
        terms = {"global": total}
        if self.local_weight:
            local = self.local(z_x, generator)
            if self.local_views == "both":
                local = (local + self.local(z_v, generator)) / 2
            terms["local"] = local
            total = total + self.local_weight * local
        return {"loss": total, **terms}
