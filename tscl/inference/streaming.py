"""Embeddings of a stream as its samples arrive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tscl.encoders.base import EncoderLike, evaluating, require_every_step
from tscl.errors import CheckpointError, InputError
from tscl.inference.encode import last_step, placement
from tscl.inference.sinks import Embeddings


class StreamingEncoder:
    """Encodes the newest steps of one series from a short history.

    Keeps the last ``receptive_field - 1`` samples, or the state of a recurrent encoder, so memory
    and the work per push do not grow with the stream: pushing n samples runs the encoder over at
    most ``n + receptive_field - 1`` steps (n, when it is recurrent). The embeddings equal those of
    the whole series at once, to rounding.

    Args:
        encoder: a causal encoder of finite receptive field, or one with ``forward_from``. It is
            not copied.
        mean: (C,) taken off every sample before it is encoded; None takes off nothing.
        scale: (C,) every sample is divided by after that; None divides by nothing.

    Raises:
        InputError: the encoder sees the future, its memory is unbounded or its embeddings are
            coarser than its input, or ``mean`` or ``scale`` has another shape.
    """

    def __init__(
        self,
        encoder: EncoderLike,
        *,
        mean: ArrayLike | None = None,
        scale: ArrayLike | None = None,
    ) -> None:
        require_every_step(encoder, "a stream")
        if not encoder.causal:
            raise InputError("encoder", type(encoder).__name__, "a stream needs a causal encoder")
        self._recurrent = encoder.receptive_field is None
        if self._recurrent and not hasattr(encoder, "forward_from"):
            remedy = "a stream needs a finite receptive field (transformer: set context)"
            raise InputError("encoder", type(encoder).__name__, remedy)
        self.encoder = encoder
        self.receptive_field = encoder.receptive_field
        self.mean = self._per_channel("mean", mean)
        self.scale = self._per_channel("scale", scale)
        if self.scale is not None and not (self.scale > 0).all():
            raise InputError("scale", float(self.scale.min()), "give positive numbers")
        self.reset()

    def _per_channel(self, field: str, values: ArrayLike | None) -> NDArray[np.float64] | None:
        if values is None:
            return None
        array = np.asarray(values, np.float64)
        if array.shape != (self.encoder.input_dims,) or not np.isfinite(array).all():
            remedy = f"give {self.encoder.input_dims} finite numbers, one a channel"
            raise InputError(field, f"shape {array.shape}", remedy)
        return array

    def reset(self) -> None:
        """Forget the stream; the next sample is the first of a series."""
        self._history = torch.empty(0, self.encoder.input_dims)
        self._state: tuple[Tensor, ...] | None = None
        self.seen = 0

    def push(self, samples: NDArray[Any] | Tensor) -> Embeddings:
        """Append samples and return their embeddings; the last row is the newest step's.

        Args:
            samples: (n, C) in order of time; NaN marks missing values.

        Returns:
            float32 (n, D).

        Raises:
            InputError: wrong shape, or infinite values.
        """
        if isinstance(samples, Tensor):
            samples = samples.detach().cpu().numpy()
        try:
            new: NDArray[np.floating] = np.array(
                samples, np.float32 if self.mean is None else np.float64
            )
        except (TypeError, ValueError):
            raise InputError("samples", type(samples).__name__, "pass numbers") from None
        if new.ndim != 2 or new.shape[1] != self.encoder.input_dims:
            remedy = f"pass (n, {self.encoder.input_dims}) samples"
            raise InputError("samples", new.shape, remedy)
        if np.isinf(new).any():
            raise InputError("samples", "infinite values", "mark missing values with NaN")
        if new.shape[0] == 0:
            return np.empty((0, self.encoder.output_dims), np.float32)
        if self.mean is not None:
            new = new - self.mean
        if self.scale is not None:
            new = new / self.scale
        scaled = torch.from_numpy(np.asarray(new, np.float32))
        piece = max(self.receptive_field or 1, 1024)
        with evaluating(self.encoder), torch.no_grad():
            return np.concatenate([self._encode(part) for part in scaled.split(piece)])

    def _encode(self, new: Tensor) -> Embeddings:
        device, dtype = placement(self.encoder)
        if self._recurrent:
            x = new.unsqueeze(0).to(device, dtype)
            embeddings, self._state = self.encoder.forward_from(x, self._state)  # type: ignore[attr-defined]
            self.seen += new.shape[0]
            return np.asarray(embeddings[0].to("cpu", torch.float32).numpy())
        assert self.receptive_field is not None
        series = torch.cat([self._history, new])
        x = series.unsqueeze(0).to(device, dtype)
        if new.shape[0] == 1:
            embeddings = last_step(self.encoder, x)
        else:
            embeddings = self.encoder(x)[0, -new.shape[0] :]
        keep = min(series.shape[0], self.receptive_field - 1)
        self._history = series[series.shape[0] - keep :].clone()
        self.seen += new.shape[0]
        return embeddings.to("cpu", torch.float32).numpy()

    def state_dict(self) -> dict[str, Any]:
        """What is kept of the stream, to go on elsewhere with the same encoder.

        ``seen`` samples, their scaled ``history`` and, of a recurrent encoder, its ``state``.
        """
        kept: dict[str, Any] = {"history": self._history.clone(), "seen": self.seen}
        if self._state is not None:
            kept["state"] = [part.detach().cpu().clone() for part in self._state]
        return kept

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`.

        Raises:
            CheckpointError: the state is of another encoder, or no state of a stream.
        """
        try:
            history = torch.as_tensor(state["history"], dtype=torch.float32)
            seen, parts = int(state["seen"]), state.get("state")
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError):
            raise CheckpointError(
                "state", type(state).__name__, "pass what state_dict() of a stream gave"
            ) from None
        kept = 0 if self.receptive_field is None else min(seen, self.receptive_field - 1)
        expected = (kept, self.encoder.input_dims)
        if tuple(history.shape) != expected:
            value = f"history {tuple(history.shape)} after {seen} samples"
            raise CheckpointError("state", value, f"this encoder keeps {expected}")
        if (parts is not None) != (self._recurrent and seen > 0):
            remedy = "it is of another kind of encoder, or of a stream that had not begun"
            raise CheckpointError("state", sorted(state), remedy)
        if parts is None:
            self._state = None
        else:
            self._state = self._checked(parts)
        self._history, self.seen = history.clone(), seen

    def _checked(self, parts: Any) -> tuple[Tensor, ...]:
        """A recurrent state that the encoder accepts, on its device."""
        device, dtype = placement(self.encoder)
        probe = torch.zeros(1, 1, self.encoder.input_dims, device=device, dtype=dtype)
        try:
            state = tuple(torch.as_tensor(part).to(device, dtype) for part in parts)
            with evaluating(self.encoder), torch.no_grad():
                self.encoder.forward_from(probe, state)  # type: ignore[attr-defined]
        except InputError as error:
            raise CheckpointError("state", error.value, error.remedy) from error
        except (TypeError, ValueError, RuntimeError) as error:
            remedy = "pass what state_dict() of a stream gave"
            raise CheckpointError("state", type(parts).__name__, remedy) from error
        return state
