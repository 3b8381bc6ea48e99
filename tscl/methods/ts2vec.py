"""TS2Vec: two overlapping random crops under random latent masks, contrasted at every scale.

Yue et al., "TS2Vec: Towards Universal Representation of Time Series", AAAI 2022, arXiv 2106.10466,
section 3.2: for random 0 <= a1 <= a2 < b1 <= b2 <= T the crops are [a1, b1] and [a2, b2];
embeddings of their overlap [a2, b1] are contrasted, so that a step is encoded in two contexts. The
loss is :class:`tscl.losses.HierarchicalContrastiveLoss`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tscl.augmentations.crop import take_windows
from tscl.encoders.base import EncoderLike, stride_of
from tscl.errors import InputError
from tscl.losses.series.hierarchical import HierarchicalContrastiveLoss
from tscl.methods.base import METHODS, Batch, Losses, Method
from tscl.methods.heads import check_batch, encode
from tscl.seeding import randint


@METHODS.register("ts2vec")
class TS2Vec(Method):
    """TS2Vec around any encoder.

    Args:
        encoder: the encoder to train; its latent mask is where views differ beside the crop.
        alpha: weight of the instance term; the temporal one has 1 - alpha.
        temporal_unit: finest scales without a temporal term; overlaps have at least
            2^(temporal_unit + 1) embeddings.
        mask: latent mask mode (:data:`tscl.masking.MASK_MODES`).
        crop: draw crops; False encodes the whole series twice under two masks.

    Example:
        >>> from tscl.encoders import ENCODERS
        >>> from tscl.methods.base import Batch
        >>> x = torch.randn(8, 60, 2, generator=torch.Generator().manual_seed(0))
        >>> encoder = ENCODERS.build("dilated", input_dims=2, output_dims=4, hidden_dims=4, depth=2)
        >>> batch = Batch(x, torch.arange(8))
        >>> method = TS2Vec(encoder)
        >>> sorted(method.losses(batch, method.phases(0)[0], torch.Generator().manual_seed(0)))
        ['instance', 'loss', 'temporal']
    """

    title = "TS2Vec"

    def __init__(
        self,
        encoder: EncoderLike | nn.Module,
        *,
        alpha: float = 0.5,
        temporal_unit: int = 0,
        mask: str = "binomial",
        crop: bool = True,
    ) -> None:
        super().__init__(encoder)
        self.loss = HierarchicalContrastiveLoss(alpha, temporal_unit)
        self.mask = mask
        self.crop = crop

    def losses(self, batch: Batch, phase: str, generator: torch.Generator) -> Losses:
        """``loss`` and its two unweighted terms, ``instance`` and ``temporal``.

        Raises:
            InputError: series shorter than 2^(temporal_unit + 1) embeddings.
        """
        least, stride = 2 ** (self.loss.temporal_unit + 1), stride_of(self.encoder)
        x = check_batch(batch, steps=least * stride)
        if self.crop:
            left, right, overlap = overlapping_crops(x, least, generator, stride)
            z1 = encode(self.encoder, left, self.mask, generator)[:, -overlap:]
            z2 = encode(self.encoder, right, self.mask, generator)[:, :overlap]
        else:
            z1 = encode(self.encoder, x, self.mask, generator)
            z2 = encode(self.encoder, x, self.mask, generator)
        instance, temporal = self.loss.terms(z1, z2)
        total = self.loss.instance_weight * instance + self.loss.temporal_weight * temporal
        return {"loss": total, "instance": instance, "temporal": temporal}


def overlapping_crops(
    x: Tensor, least: int, generator: torch.Generator | None, stride: int = 1
) -> tuple[Tensor, Tensor, int]:
    """Two crops of every sample such that the last steps of one are the first of the other.

    Lengths are drawn once for the batch, places per sample. With a stride all are whole numbers
    of strides, so that embeddings of the shared steps stand for the same steps in both crops.

    Args:
        x: (B, T, C) series.
        least: shortest overlap in strides, in [1, T // stride].
        generator: source of randomness.
        stride: input steps an embedding stands for.

    Returns:
        The left crop, the right crop, and the number of strides (steps, when 1) they share.

    Raises:
        InputError: ``least`` does not fit the series.
    """
    n, length = len(x), x.shape[1] // stride
    if not 1 <= least <= length:
        raise InputError("least", least, f"an overlap must have 1 to {length} strides of {stride}")

    def draw(low: int, high: int) -> int:
        return int(randint(low, high + 1, (1,), generator))

    overlap = draw(least, length)
    start = draw(0, length - overlap)
    stop = start + overlap
    first = draw(0, start)
    last = draw(stop, length)
    offset = randint(-first, length - last + 1, (n,), generator, x.device)
    left = take_windows(x, stride * (offset + first), stride * (stop - first))
    right = take_windows(x, stride * (offset + start), stride * (last - start))
    return left, right, overlap
