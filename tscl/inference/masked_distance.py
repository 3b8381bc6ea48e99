"""How much the newest observation changes its own embedding: TS2Vec's anomaly score."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from tscl.encoders.base import EncoderLike, evaluating, require_every_step
from tscl.errors import InputError
from tscl.inference.encode import last_step, placement


def masked_distance(
    encoder: EncoderLike, x: NDArray[np.floating], *, window: int = 200, batch_size: int = 256
) -> NDArray[np.float64]:
    """L1 distance of the last embedding with its observation masked and unmasked, (N, T).

    TS2Vec (arXiv 2106.10466, section 4.3): step t is encoded at the end of the window
    x[t - window .. t], once as it is and once with step t hidden; the score is
    ``sum |r_masked - r|``. A causal encoder of a shorter receptive field gets windows of that
    length, which gives the same. NaN where step t misses all its channels.

    Args:
        encoder: follows :class:`tscl.encoders.base.EncoderLike`.
        x: (N, T, C), NaN where a value is missing.
        window: steps of the past; before the start of a series they are missing.
        batch_size: windows at a time.

    Raises:
        InputError: wrong rank or channels, infinite values, numbers below 1, an encoder coarser
            than its input.
    """
    require_every_step(encoder, "the score of a step")
    if x.ndim != 3 or x.shape[2] != encoder.input_dims:
        raise InputError("x", x.shape, f"pass (n_samples, n_timesteps, {encoder.input_dims})")
    for field, value in (("window", window), ("batch_size", batch_size)):
        if value < 1:
            raise InputError(field, value, "choose a whole number of at least 1")
    if np.isinf(x).any():
        raise InputError("x", "infinite values", "mark missing values with NaN")
    if encoder.causal and encoder.receptive_field is not None:
        window = min(window, encoder.receptive_field - 1)
    device, dtype = placement(encoder)
    out = np.empty(x.shape[:2])
    with evaluating(encoder), torch.no_grad():
        for row, series in zip(out, x, strict=True):
            values = torch.from_numpy(np.array(series, np.float32)).to(device, dtype)
            padded = torch.cat([values.new_full((window, values.shape[1]), torch.nan), values])
            for start in range(0, len(series), batch_size):
                stop = min(len(series), start + batch_size)
                seen = padded[start : stop + window].unfold(0, window + 1, 1).transpose(1, 2)
                hidden = seen.clone()
                hidden[:, -1] = torch.nan
                change = last_step(encoder, hidden) - last_step(encoder, seen)
                row[start:stop] = change.abs().sum(dim=1).to("cpu", torch.float64).numpy()
    out[np.isnan(x).all(axis=2)] = np.nan
    return out
