"""Windows of series as training batches, gathered at once from arrays or memory maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tscl.errors import InputError
from tscl.methods.base import Batch
from tscl.training.data import RandomSampler

Float32 = NDArray[np.float32]


class WindowSource:
    """Pairs of a past window and what follows it.

    Sample i has its origin at step ``origins[i]``, the last step of the past: the past covers
    ``length`` steps up to it, the future the ``horizon`` steps after it. Batches carry the past
    as ``x`` and, in ``extra``, ``future`` (B, H, targets) and, when there are covariates,
    ``past_marks`` (B, L, K) and ``future_marks`` (B, H, K).

    Args:
        values: (T, C) float array; a memory map is read window by window.
        origins: steps to start from; see :meth:`inside` for those of a part.
        length: L, steps of the past.
        horizon: H, steps of the future.
        targets: channels of the future; all when None.
        marks: (T, K) covariates, or None.

    Raises:
        InputError: shapes that do not fit, or an origin without a whole window around it.
    """

    def __init__(
        self,
        values: NDArray[np.floating],
        origins: Sequence[int] | NDArray[np.int64],
        length: int,
        horizon: int,
        *,
        targets: Sequence[int] | None = None,
        marks: NDArray[np.floating] | None = None,
    ) -> None:
        if values.ndim != 2:
            raise InputError("values", values.shape, "pass (n_timesteps, n_channels)")
        if length < 1 or horizon < 1:
            raise InputError("length, horizon", (length, horizon), "both must be at least 1")
        if marks is not None and (marks.ndim != 2 or len(marks) != len(values)):
            raise InputError("marks", marks.shape, f"pass ({len(values)}, n_covariates)")
        self.origins = np.asarray(origins, dtype=np.int64)
        if self.origins.ndim != 1 or not len(self.origins):
            raise InputError(
                "windows",
                self.origins.shape,
                f"no window of {length} past and {horizon} future steps fits; "
                "shorten the context or the horizon, or pass a longer series",
            )
        low, high = int(self.origins.min()), int(self.origins.max())
        if low < length - 1 or high + horizon >= len(values):
            raise InputError(
                "origins",
                (low, high),
                f"use steps {length - 1}..{len(values) - horizon - 1} for these lengths",
            )
        self.values, self.marks = values, marks
        self.length, self.horizon = length, horizon
        every = list(range(values.shape[1]))
        self.targets = every if targets is None else list(targets)
        self._some = self.targets != every
        self._past = np.arange(1 - length, 1)
        self._future = np.arange(1, horizon + 1)

    @staticmethod
    def inside(part: slice, length: int, horizon: int, stride: int = 1) -> NDArray[np.int64]:
        """Origins whose whole window, past and future, lies in ``part``.

        Args:
            part: steps of the series.
            length: L, steps of the past.
            horizon: H, steps ahead.
            stride: steps from one origin to the next.
        """
        return np.arange(part.start + length - 1, part.stop - horizon, stride, dtype=np.int64)

    @staticmethod
    def after(part: slice, length: int, horizon: int, stride: int = 1) -> NDArray[np.int64]:
        """Origins in ``part`` whose future lies in it; the past may begin before it.

        These are the rows of :func:`tscl.evaluation.forecasting.protocol.forecast_protocol`.
        Arguments as for :meth:`inside`.
        """
        first = max(part.start, length - 1)
        return np.arange(first, part.stop - horizon, stride, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.origins)

    def batch(self, indices: NDArray[np.int64], generator: torch.Generator) -> Batch:
        """The windows at ``indices``; nothing is drawn."""
        origins = self.origins[indices][:, None]
        past, future = origins + self._past, origins + self._future
        ahead = self.values[future]
        extra = {"future": _tensor(ahead[:, :, self.targets] if self._some else ahead)}
        if self.marks is not None:
            extra["past_marks"] = _tensor(self.marks[past])
            extra["future_marks"] = _tensor(self.marks[future])
        return Batch(
            x=_tensor(self.values[past]),
            index=torch.from_numpy(np.asarray(indices, dtype=np.int64)),
            extra=extra,
        )


class EpochSampler:
    """Random batches of all windows, the smaller last one included unless it is a single one.

    Args:
        n: number of windows.
        batch_size: windows a batch.
        per_epoch: at most this many batches an epoch; None for all.
    """

    def __init__(self, n: int, batch_size: int, per_epoch: int | None = None) -> None:
        self._inner = RandomSampler(n, min(batch_size, n))
        self.per_epoch = per_epoch

    def epoch(self, seed: int, epoch: int) -> list[NDArray[np.int64]]:
        """The batches of ``epoch`` (from 0)."""
        batches = self._inner.epoch(seed, epoch)
        if len(batches) > 1 and len(batches[-1]) < 2:
            batches = batches[:-1]
        return batches[: self.per_epoch]


def window_forecasts(
    network: nn.Module,
    values: NDArray[np.floating],
    origins: NDArray[np.int64],
    length: int,
    *,
    marks: NDArray[np.floating] | None = None,
    horizon: int | None = None,
    batch_size: int = 256,
) -> Float32:
    """Forecasts (n, H, targets) from every origin, the last incomplete batch included.

    The network's mode is put back afterwards.

    Args:
        network: of the interface of :class:`tscl.forecasters.network.ForecastNetwork`.
        values: (T, C); may end at the last origin.
        origins: (n,) last step of the past of every window.
        length: L, steps of the past.
        marks: (T', K), T' at least ``horizon`` steps past the last origin.
        horizon: H; by default the network's.
        batch_size: windows at a time.

    Raises:
        InputError: an origin with too little past, or marks that end too early.
    """
    origins = np.asarray(origins, dtype=np.int64)
    horizon = horizon or int(network.horizon)  # type: ignore[arg-type]
    if len(origins) and (origins.min() < length - 1 or origins.max() >= len(values)):
        bounds = (int(origins.min()), int(origins.max()))
        raise InputError("origins", bounds, f"use steps {length - 1}..{len(values) - 1}")
    if marks is not None and len(origins) and origins.max() + horizon >= len(marks):
        need = int(origins.max()) + horizon + 1
        raise InputError("marks", f"{len(marks)} steps", f"covariates must cover {need} steps")
    past, future = np.arange(1 - length, 1), np.arange(1, horizon + 1)
    was = network.training
    network.eval()
    first = next(network.parameters(), None)
    device = None if first is None else first.device
    parts = []
    try:
        with torch.no_grad():
            for start in range(0, len(origins), batch_size):
                at = origins[start : start + batch_size, None]
                known: list[Tensor | None] = [None, None]
                if marks is not None:
                    known = [_tensor(marks[at + past]), _tensor(marks[at + future])]
                inputs = [
                    x if x is None else x.to(device) for x in (_tensor(values[at + past]), *known)
                ]
                parts.append(network(*inputs).float().cpu().numpy())
    finally:
        network.train(was)
    return np.concatenate(parts) if parts else np.zeros((0, horizon, 0), np.float32)


def _tensor(rows: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32))
