"""CLOCS: segments in time and leads of one patient attract each other.

Kiyasseh et al. 2021, "CLOCS: Contrastive Learning of Cardiac Signals Across Space, Time, and
Patients", arXiv 2005.13249, section 4. Views are segments that follow one another in time (CMSC),
leads at one time (CMLC), or both (CMSMLC). With view embeddings h_i^A, h_j^B, cosine similarity s
and temperature 0.1, every pair of views A, B and every pair (i, j) of one patient, i = j included,
gives

    -log exp(s(h_i^A, h_j^B) / tau) / sum_k exp(s(h_i^A, h_k^B) / tau)

(eq. 1), averaged over the pairs, with both views as anchors (eq. 2).
"""

from __future__ import annotations

from itertools import combinations
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from tscl.encoders.base import EncoderLike
from tscl.errors import InputError, check_choice, nearest
from tscl.losses.series.id_contrast import IdContrastLoss
from tscl.methods.base import METHODS, Batch, Losses, Method
from tscl.methods.heads import (
    ProjectionHead,
    check_batch,
    embed,
    output_dims,
)
from tscl.seeding import rand

Variant = Literal["cmsc", "cmlc", "cmsmlc"]


@METHODS.register("clocs")
class CLOCS(Method):
    """CLOCS around any encoder.

    An encoder of one input channel encodes a lead by itself, as in the paper. For an encoder of
    all C channels a lead is presented with the other leads at zero.

    Args:
        encoder: the encoder to train.
        variant: ``cmsc`` (segments), ``cmlc`` (leads) or ``cmsmlc`` (both).
        level: which ``batch.ids`` names the patient.
        segments: number of segments a sample is cut into (``cmsc``, ``cmsmlc``), >= 2.
        leads: how many leads are drawn per step (``cmlc``, ``cmsmlc``), >= 2; all samples of the
            batch show the same ones.
        own_pair: two views of one sample are positives too. False leaves positives to OTHER
            samples of the patient; a batch without any then has loss 0.
        temperature: softmax temperature, > 0.
        projection_dims: dimensions of a linear-ReLU-linear head; 0 contrasts the pooled
            embeddings themselves.
        pooling: over time, of :data:`tscl.pooling.POOLS`, several joined by ``+``.

    Example:
        >>> from tscl.encoders import ENCODERS
        >>> from tscl.methods.base import Batch
        >>> x = torch.randn(8, 60, 2, generator=torch.Generator().manual_seed(0))
        >>> encoder = ENCODERS.build("dilated", input_dims=2, output_dims=4, hidden_dims=4, depth=2)
        >>> ids = {"patient": torch.arange(8) // 4, "trial": torch.arange(8) // 2}
        >>> batch = Batch(x, torch.arange(8), ids=ids)
        >>> method = CLOCS(encoder)
        >>> sorted(method.losses(batch, method.phases(0)[0], torch.Generator().manual_seed(0)))
        ['loss']
    """

    title = "CLOCS"

    def __init__(
        self,
        encoder: EncoderLike | nn.Module,
        *,
        variant: Variant = "cmsc",
        level: str = "patient",
        segments: int = 2,
        leads: int = 2,
        own_pair: bool = True,
        temperature: float = 0.1,
        projection_dims: int = 0,
        pooling: str = "max",
    ) -> None:
        super().__init__(encoder)
        check_choice("variant", variant, get_args(Variant))
        for name, value in (("segments", segments), ("leads", leads)):
            if value < 2:
                raise InputError(name, value, "two views or more are contrasted")
        dims = output_dims(self.encoder, pooling)
        self.head: nn.Module = nn.Identity()
        if projection_dims:
            self.head = ProjectionHead(dims, dims, projection_dims, batch_norm=False)
        self.contrast = IdContrastLoss(
            temperature, own_pair="positive" if own_pair else "denominator"
        )
        self.variant = variant
        self.level = level
        self.needs = (level,)
        self.segments = segments
        self.leads = leads
        self.pooling = pooling

    def losses(self, batch: Batch, phase: str, generator: torch.Generator) -> Losses:
        """``loss`` over all pairs of views.

        Raises:
            InputError: no ids of the patient level, too few steps or leads.
        """
        x = check_batch(batch)
        if self.level not in batch.ids:
            raise InputError("batch.ids", sorted(batch.ids), nearest(self.level, batch.ids))
        ids = batch.ids[self.level]
        views = self.views(x, generator)
        flat = embed(self.encoder, views.flatten(0, 1), pooling=self.pooling)
        z = self.head(flat).unflatten(0, views.shape[:2])
        pairs = combinations(range(len(z)), 2)
        terms = torch.stack([self.contrast(z[a], z[b], ids) for a, b in pairs])
        return {"loss": terms.mean()}

    def views(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """All views of ``x`` (B, T, C): (V, B, T', C), T' = T // segments when cut in time."""
        views = x.unsqueeze(0)
        if self.variant != "cmlc":
            if x.shape[1] < self.segments:
                raise InputError("series length", x.shape[1], f"need {self.segments} steps or more")
            width = x.shape[1] // self.segments
            cut = x[:, : width * self.segments].unflatten(1, (self.segments, width))
            views = cut.transpose(0, 1)
        if self.variant == "cmsc":
            return views
        if x.shape[2] < self.leads:
            raise InputError("channels", x.shape[2], f"need {self.leads} leads or more")
        drawn = rand((x.shape[2],), generator, x.float()).argsort()[: self.leads]
        if getattr(self.encoder, "input_dims", None) == 1:
            shown = views[..., drawn].permute(3, 0, 1, 2).unsqueeze(-1)
        else:
            alone = torch.zeros(self.leads, x.shape[2], dtype=torch.bool, device=x.device)
            alone[torch.arange(self.leads, device=x.device), drawn] = True
            shown = torch.where(alone[:, None, None, None, :], views, views.new_zeros(()))
        return shown.flatten(0, 1)
