"""Pretraining methods as estimators: ``AutoTCL(...).fit(X).encode(X)``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import TransformerMixin
from torch import nn

from tscl.errors import DataError, InputError, NotFittedError
from tscl.estimators.base import SeriesInput
from tscl.estimators.by_length import encode_by_length
from tscl.estimators.pickled import EncoderByName
from tscl.estimators.pretraining import build_method, pretrain
from tscl.estimators.series_inputs import RandomState, as_array, draw_seed
from tscl.inference.encode import encode, encode_causal
from tscl.pooling import check_pooling
from tscl.training.engine import TrainSettings


def _as_float32(X: Any) -> NDArray[np.float32]:
    if issparse(X):
        raise DataError("X", type(X).__name__, "sparse input is not supported; pass X.toarray()")
    try:
        array = np.asarray(X)
        if array.dtype.kind != "c":
            return array.astype(np.float32, copy=False)
    except (TypeError, ValueError) as error:
        raise DataError("X", type(X).__name__, f"must be numeric ({error})") from None
    remedy = "Complex data not supported; pass X.real, X.imag or np.abs(X)"
    raise DataError("X", "complex numbers", remedy)


def as_panel(
    X: Any, *, allow_missing: bool = True, allow_constant: bool = False
) -> NDArray[np.float32]:
    """Series as (n_samples, n_timesteps, n_channels) float32.

    Args:
        X: 3-D array or tensor, or a list of (T_i, C) arrays; a 2-D array is (n_timesteps,
            n_channels) of one series; a 1-D array or Series is one univariate series; a DataFrame
            is one series, one column a channel, its index (when of dates) sorted without
            duplicates.
        allow_missing: whether NaN marks missing values or is an error.
        allow_constant: whether a channel may be constant or empty.

    Raises:
        DataError: wrong rank, no samples, sparse, complex or infinite values, unsorted or
            duplicate time stamps, a channel that is constant, or NaN where not allowed.
    """
    if isinstance(X, (pd.DataFrame, pd.Series)):
        index = X.index
        if isinstance(index, pd.DatetimeIndex):
            if index.has_duplicates:
                first = index[index.duplicated()][0]
                raise DataError("timestamps", first, "appears twice; keep one row a time stamp")
            if not index.is_monotonic_increasing:
                raise DataError("timestamps", "unsorted", "sort the rows by time")
        X = X.to_numpy()
    values = _as_float32(as_array(X))
    if values.ndim == 1:
        values = values[None, :, None]
    elif values.ndim == 2:
        values = values[None]
    if values.ndim != 3:
        raise DataError("X", values.shape, "pass (n_samples, n_timesteps, n_channels)")
    if values.shape[2] == 0:
        found = f"0 feature(s) (shape={np.shape(X)}) while a minimum of 1 is required"
        raise DataError("X", found, "pass at least one channel")
    if 0 in values.shape:
        raise DataError("X", values.shape, "pass at least one sample, step and channel")
    if np.isinf(values).any():
        raise DataError("X", f"{int(np.isinf(values).sum())} infinite values", "remove them")
    if not allow_missing and np.isnan(values).any():
        raise DataError("X", f"{int(np.isnan(values).sum())} NaN", "fill or drop them")
    for channel in range(0 if allow_constant else values.shape[2]):
        seen = values[..., channel][~np.isnan(values[..., channel])]
        if seen.size == 0 or (values.shape[1] > 1 and np.ptp(seen) == 0):
            raise DataError(f"channel {channel}", "constant or empty", "drop the channel")
    return values


class Representation(TransformerMixin, EncoderByName, SeriesInput):
    """Any registered method as an estimator.

    ``X`` is (n_samples, n_timesteps, n_channels), and trailing steps without any value are padding
    that does not enter a code. Here a 2-D ``X`` is one series (n_timesteps, n_channels).

    Args:
        method: name of the method (:data:`tscl.methods.METHODS`).
        method_params: its arguments.
        encoder: encoder name or a module that follows the encoder contract.
        encoder_params: arguments of a named encoder, without ``input_dims``.
        max_epochs, batch_size, lr, averaging: training.
        max_train_length: longer series are cut into sections of this length.
        pooling: of ``transform`` (:func:`tscl.pooling.pool_time`).
        checkpoints: folder to keep checkpoints in, for ``fit(..., resume=True)``.
        verbose: show a progress bar.
        random_state: seed of weights, batches, masks and noise: a whole number, a RandomState or
            Generator to draw it from, or None for a new one every time.

    Attributes:
        encoder_: the trained encoder. method_: the whole method (None in copies when its layers are
            weight-normalised, as in ``tcn``). history_: a row a step.
        n_features_in_: number of channels.
    """

    def __init__(
        self,
        method: str = "autotcl",
        *,
        method_params: dict[str, Any] | None = None,
        encoder: str | nn.Module = "dilated",
        encoder_params: dict[str, Any] | None = None,
        max_epochs: int = 20,
        batch_size: int = 32,
        lr: float = 1e-3,
        averaging: str = "swa",
        max_train_length: int = 256,
        pooling: str = "max",
        checkpoints: str | Path | None = None,
        verbose: bool = False,
        random_state: RandomState = 0,
    ) -> None:
        self.method = method
        self.method_params = method_params
        self.encoder = encoder
        self.encoder_params = encoder_params
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.averaging = averaging
        self.max_train_length = max_train_length
        self.pooling = pooling
        self.checkpoints = checkpoints
        self.verbose = verbose
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _method_arguments(self) -> dict[str, Any]:
        return dict(self.method_params or {})

    def fit(self, X: Any, y: Any = None, *, resume: bool = False) -> Representation:
        """Train on ``X`` (see :func:`as_panel`); ``y`` is ignored.

        Raises:
            DataError: bad input, or series too short to train on.
        """
        check_pooling(self.pooling)
        values = as_panel(X)
        seed = draw_seed(self.random_state)
        method = build_method(
            self.method,
            self._method_arguments(),
            self.encoder,
            self.encoder_params,
            channels=values.shape[2],
            seed=seed,
        )
        settings = TrainSettings(
            max_epochs=self.max_epochs,
            lr=self.lr,
            averaging=self.averaging,  # type: ignore[arg-type]
            seed=seed,
        )
        result = pretrain(
            method,
            values,
            settings,
            batch_size=self.batch_size,
            max_train_length=self.max_train_length,
            checkpoints=None if self.checkpoints is None else Path(self.checkpoints),
            resume=resume,
            verbose=self.verbose,
            title=self.method,
        )
        self.method_ = method
        self.encoder_ = result.encoder
        self.history_ = result.history
        self.n_features_in_ = values.shape[2]
        return self

    def encode(
        self, X: Any, *, pooling: str | None = None, causal: bool = False, **options: Any
    ) -> NDArray[np.float32]:
        """Codes (n_samples, n_timesteps, D), or (n_samples, k D) with k poolings named.

        Steps after a series' end are NaN, and the code of a series is that of its own length.

        Args:
            X: see :func:`as_panel`.
            pooling: None, or over time (:func:`tscl.pooling.pool_time`).
            causal: codes for forecasting, each of its past only (windows for a centred encoder).
            options: further arguments of :func:`tscl.inference.encode.encode`; ``out`` only for
                series that all last to the end.
        """
        if not hasattr(self, "encoder_"):
            raise NotFittedError(f"{type(self).__name__} is not fitted; call fit first")
        values = as_panel(X)
        if values.shape[2] != self.n_features_in_:
            raise DataError("X", values.shape, f"fitted on {self.n_features_in_} channels")
        if options.get("out") is not None and np.isnan(values[:, -1]).all(axis=1).any():
            raise InputError("out", "padded series", "leave out away; codes are put together first")

        def part_codes(part: NDArray[np.float32]) -> NDArray[np.float32]:
            if causal:
                return encode_causal(self.encoder_, part, **options).codes  # type: ignore[arg-type]
            return encode(self.encoder_, part, pooling=pooling, **options)  # type: ignore[arg-type]

        return encode_by_length(values, part_codes)

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Codes pooled by ``pooling``, (n_samples, k D), k the number of poolings named."""
        return self.encode(X, pooling=self.pooling)


class AutoTCL(Representation):
    """AutoTCL (arXiv 2402.10434) as an estimator; see :class:`Representation`.

    Args:
        encoder, encoder_params: the encoder.
        augmentation: arguments of the method that concern the augmentation network, such as
            ``{"aug_dim": 16, "reg_weight": 0.1, "meta_lr": 1e-3}``.
        loss: global contrastive loss, by name or module.
        method_params: further arguments of :class:`tscl.methods.autotcl.AutoTCLMethod`.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "dilated",
        augmentation: dict[str, Any] | None = None,
        loss: str | nn.Module = "infonce",
        *,
        encoder_params: dict[str, Any] | None = None,
        method_params: dict[str, Any] | None = None,
        max_epochs: int = 20,
        batch_size: int = 32,
        lr: float = 1e-3,
        averaging: str = "swa",
        max_train_length: int = 256,
        pooling: str = "max",
        checkpoints: str | Path | None = None,
        verbose: bool = False,
        random_state: RandomState = 0,
    ) -> None:
        super().__init__(
            "autotcl",
            method_params=method_params,
            encoder=encoder,
            encoder_params=encoder_params,
            max_epochs=max_epochs,
            batch_size=batch_size,
            lr=lr,
            averaging=averaging,
            max_train_length=max_train_length,
            pooling=pooling,
            checkpoints=checkpoints,
            verbose=verbose,
            random_state=random_state,
        )
        self.augmentation = augmentation
        self.loss = loss

    def _method_arguments(self) -> dict[str, Any]:
        return {"loss": self.loss, **(self.augmentation or {}), **(self.method_params or {})}
