"""What a loss is given beside embeddings, one entry a sample: checks of values and weights."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

from tscl.errors import InputError

_WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_late: deque[tuple[Tensor, torch.cuda.Event, InputError]] = deque(maxlen=256)


def require(ok: Tensor, field: str, value: Callable[[], object], remedy: str) -> None:
    """InputError naming ``field`` unless ``ok``, a boolean of one entry, holds.

    An answer on a CUDA device is copied without waiting for it, so that a check does not stop the
    queue of kernels, and the error is raised by the first check after it has arrived. Inside
    ``torch.compile`` there is no check.

    Args:
        ok: the condition.
        field: see :class:`InputError`.
        value: called for the offending value when the condition is known at once.
        remedy: see :class:`InputError`.
    """
    if torch.compiler.is_compiling():
        return
    if ok.device.type == "cpu":
        if not bool(ok):
            raise InputError(field, value(), remedy)
    else:
        ask_later(ok, InputError(field, "an earlier batch that does not fit", remedy))


def ask_later(ok: Tensor, error: InputError) -> None:
    """Queue a check of a CUDA tensor; raise the error of an earlier one that has failed."""
    if not ok.is_cuda:  # another kind of device, which is waited for
        if not bool(ok):
            raise error
        return
    answer = torch.empty_like(ok, device="cpu", pin_memory=True).copy_(ok, non_blocking=True)
    event = torch.cuda.Event()
    event.record()
    _late.append((answer, event, error))
    while _late and _late[0][1].query():
        earlier, _, failed = _late.popleft()
        if not bool(earlier):
            raise failed


def sample_column(name: str, value: object, n: int, device: torch.device) -> Tensor:
    """``value`` as a tensor (n,) on ``device``; lists and arrays are converted.

    Args:
        name: of the column; that of ``labels`` and ``targets`` must be finite.
        value: a tensor, list or array.
        n: number of samples.
        device: of the embeddings.

    Raises:
        InputError: not real numbers, or not one a sample.
    """
    if not isinstance(value, Tensor):
        try:
            plain = value.tolist() if hasattr(value, "tolist") else value  # any array's numbers
            column = torch.tensor(plain)
            if column.is_floating_point():
                column = torch.tensor(plain, dtype=torch.float64)  # float32 would cut digits
        except (TypeError, ValueError, RuntimeError):
            raise InputError(name, value, f"pass one number per sample, ({n},)") from None
    else:
        column = value
    if column.shape != (n,):
        raise InputError(name, tuple(column.shape), f"pass one entry per sample, ({n},)")
    if column.is_complex():
        raise InputError(name, column.dtype, "pass real numbers")
    if not (column.is_floating_point() or column.dtype in _WHOLE):
        column = column.long()  # torch compares and sorts few kinds of unsigned numbers
    if name in ("labels", "targets"):
        check_labelled(column, name)
    return column.to(device, non_blocking=True)


def check_labelled(column: Tensor, name: str = "labels") -> None:
    """InputError when a label or target is NaN or infinite."""
    if column.is_floating_point():
        ok = torch.isfinite(column).all()
        require(ok, name, lambda: "NaN or infinity", "drop samples without a label")


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
    known = weights.detach()
    fits = torch.isfinite(known) & (known >= 0)
    require(
        fits.all(),
        "weights",
        lambda: known[~fits][0].item(),
        "weights must be finite and not negative",
    )
    if not relative:
        largest = known.amax()
        require(
            largest <= math.sqrt(torch.finfo(dtype).max),
            "weights",
            largest.item,
            f"divide them by their largest: sums leave {dtype}",
        )
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
