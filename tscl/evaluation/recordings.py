"""Embeddings of whole recordings of unequal length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tscl.encoders.base import EncoderLike, evaluating
from tscl.errors import InputError, is_whole
from tscl.inference.encode import placement
from tscl.pooling import pool_time

if TYPE_CHECKING:
    from data_loaders.container.recordings import Recordings


def embed_recordings(
    encoder: EncoderLike | nn.Module,
    recordings: Recordings,
    *,
    pooling: str = "mean",
    whole: int = 3500,
    window: int = 3000,
    batch_size: int = 64,
    bf16: bool = False,
) -> NDArray[np.float32]:
    """One embedding a recording, which is encoded at its own length.

    A recording of more than ``whole`` steps is cut into the fewest windows of ``window`` steps
    that cover it, equally spaced, and their embeddings are averaged. Pieces of equal length are
    encoded together, so nothing is padded.

    Args:
        encoder: its device is used.
        recordings: standardised as in training.
        pooling: of embeddings over time, names of :data:`tscl.pooling.POOLS` joined by ``+``; of
            no effect for an encoder that gives one embedding a series.
        whole: longest recording that is encoded in one piece, at least ``window``.
        window: steps of the windows of longer ones.
        batch_size: most pieces encoded at a time.
        bf16: compute in bfloat16 where it suffices (autocast), about twice as quick on a CPU that
            knows it.

    Returns:
        (n, D k) float32, k the number of poolings.

    Raises:
        InputError: sizes below 1, or ``whole`` below ``window``.

    Example:
        >>> from data_loaders.container.recordings import Recordings
        >>> from tscl.encoders import ENCODERS
        >>> data = Recordings.from_arrays([np.ones((300, 1)), np.ones((450, 1))], 100.0)
        >>> embed_recordings(ENCODERS.build("resnet1d", input_dims=1), data).shape
        (2, 128)
    """
    for field, size in (("window", window), ("whole", whole), ("batch_size", batch_size)):
        if not is_whole(size) or size < 1:
            raise InputError(field, size, "give a whole number of at least 1")
    if whole < window:
        raise InputError("whole", whole, f"give at least the window's {window} steps")
    row, start, length = _pieces(recordings.lengths, whole, window)
    device, dtype = placement(encoder)  # type: ignore[arg-type]
    out: NDArray[np.float32] | None = None
    share = 1.0 / np.bincount(row)
    with torch.inference_mode(), evaluating(encoder):
        for steps in np.unique(length).tolist():
            same = np.flatnonzero(length == steps)
            for part in np.split(same, range(batch_size, len(same), batch_size)):
                cut = torch.from_numpy(recordings.crops(row[part], start[part], steps))
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                    z = encoder(cut.to(device, dtype))
                pooled = pool_time(z.float(), pooling).cpu().numpy()
                if out is None:
                    out = np.zeros((len(recordings), pooled.shape[1]), np.float32)
                np.add.at(out, row[part], pooled * share[row[part], None].astype(np.float32))
    assert out is not None
    return out


def _pieces(
    lengths: NDArray[np.int64], whole: int, window: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Recording, first step and length of every piece."""
    count = np.where(lengths <= whole, 1, -(-lengths // window))
    row = np.repeat(np.arange(len(lengths)), count)
    number = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    length = np.where(count == 1, lengths, window)[row]
    start = (lengths[row] - length) * number // np.maximum(count[row] - 1, 1)
    return row, start, length
