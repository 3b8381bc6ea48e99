"""What a loss is given beside embeddings, one entry a sample: labels, ids, weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tscl.errors import InputError

_WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def sample_column(name: str, value: object, n: int, device: torch.device) -> Tensor:
    """``value`` as a tensor (n,) on ``device``; lists and arrays are converted.

    Raises:
        InputError: not real numbers, or not one a sample.
    """
    if not isinstance(value, Tensor):
        try:
            plain = value.tolist() if hasattr(value, "tolist") else value  # any array's numbers
            made = torch.tensor(plain)
            if made.is_floating_point():
                made = torch.tensor(plain, dtype=torch.float64)  # float32 would cut digits
            value = made
        except (TypeError, ValueError, RuntimeError):
            raise InputError(name, value, f"pass one number per sample, ({n},)") from None
    if value.shape != (n,):
        raise InputError(name, tuple(value.shape), f"pass one entry per sample, ({n},)")
    if value.is_complex():
        raise InputError(name, value.dtype, "pass real numbers")
    if not (value.is_floating_point() or value.dtype in _WHOLE):
        value = value.long()  # torch compares and sorts few kinds of unsigned numbers
    return value.to(device)


def check_weights(weights: Tensor, dtype: torch.dtype, *, relative: bool) -> Tensor:
    """Weights (n,) that are finite and not negative.

    Args:
        weights: checked by :func:`sample_column`.
        dtype: of the embeddings.
        relative: only their ratios count; otherwise they must leave room for sums in ``dtype``.

    Raises:
        InputError: the first weight that cannot be used.
    """
    if weights.dtype == torch.bool:
        weights = weights.to(dtype)
    if weights.numel() == 0:
        return weights
    low, high = (end.item() for end in weights.detach().aminmax())
    if not (low >= 0 and high < math.inf):
        wrong = weights[~(torch.isfinite(weights) & (weights >= 0))][0].item()
        raise InputError("weights", wrong, "weights must be finite and not negative")
    if not relative and high > math.sqrt(torch.finfo(dtype).max):
        raise InputError("weights", high, f"divide them by their largest: sums leave {dtype}")
    return weights


def relative_weights(weights: Tensor, dtype: torch.dtype) -> Tensor:
    """Weights over their largest, in ``dtype``: of any scale, their sum is finite and not tiny.

    Weights that are all 0 stay 0. For what depends on ratios of weights only; the gradient of
    such a value is right, although the divisor counts as constant.
    """
    if weights.dtype not in (torch.float32, torch.float64):
        weights = weights.to(dtype)
    if weights.numel():
        largest = weights.detach().amax().clamp_min(torch.finfo(weights.dtype).tiny)
        weights = weights / largest
    return weights.to(dtype)
