"""What the scikit-learn estimators accept as ``X``, and how a sample's true length is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError as SklearnNotFittedError
from sklearn.utils.validation import check_array, validate_data

from data_loaders.variable_length import pad_series
from tscl.errors import DataError, InputError, NotFittedError

Float32 = NDArray[np.float32]


class UnfittedEstimatorError(NotFittedError, SklearnNotFittedError):
    """The estimator was used before ``fit``; scikit-learn's own error too."""


def require_fitted(estimator: BaseEstimator, attribute: str) -> None:
    """Raise unless ``fit`` has set ``attribute``."""
    if not hasattr(estimator, attribute):
        name = type(estimator).__name__
        raise UnfittedEstimatorError(f"this {name} is not fitted; call fit first")


def read_panel(estimator: BaseEstimator, X: Any, *, reset: bool) -> Float32:
    """``X`` as (n_samples, n_timesteps, n_channels) float32 with NaN for missing values.

    A 2-D array or data frame holds one univariate series a row. A 3-D array or tensor is taken as
    it is; a list of (T_i, C) arrays is padded with NaN to the longest. Sets ``n_features_in_``
    (columns of 2-D, channels of 3-D input) and ``n_channels_in_`` when ``reset``, else checks them.

    Raises:
        DataError: wrong rank, an empty axis, infinite values, a sample without any value, or
            other channels than in ``fit``. ValueError of scikit-learn for bad 2-D input.
    """
    if isinstance(X, torch.Tensor):
        X = X.detach().cpu().numpy()
    if isinstance(X, list | tuple) and X and all(np.ndim(s) == 2 for s in X):
        X, _ = pad_series(X)
    if getattr(X, "ndim", 2) == 3:
        values = check_array(
            X, dtype=np.float32, allow_nd=True, ensure_all_finite="allow-nan", input_name="X"
        )
        if 0 in values.shape:
            raise DataError("X", values.shape, "pass at least one sample, step and channel")
        _check_channels(estimator, values.shape, reset=reset)
    else:
        if not reset and getattr(estimator, "n_channels_in_", 1) != 1:
            channels = estimator.n_channels_in_
            raise DataError("X", np.shape(X), f"fitted on (n, T, {channels}); pass 3-D input")
        values = validate_data(
            estimator,
            X,
            reset=reset,
            dtype=np.float32,
            ensure_all_finite="allow-nan",
            ensure_min_features=2 if reset else 1,
        )[:, :, None]
        if reset:
            estimator.n_channels_in_ = 1
    empty = np.isnan(values).all(axis=(1, 2))
    if empty.any():
        raise DataError("X", f"sample {int(np.argmax(empty))} holds no value", "leave it out")
    return np.ascontiguousarray(values)


def _check_channels(estimator: BaseEstimator, shape: tuple[int, ...], *, reset: bool) -> None:
    if reset:
        estimator.n_features_in_ = shape[2]
        estimator.n_channels_in_ = shape[2]
        if hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    elif estimator.n_channels_in_ != shape[2]:
        raise DataError("X", shape, f"fitted on {estimator.n_channels_in_} channels")


def id_codes(field: str, ids: ArrayLike | None, n: int) -> NDArray[np.int64] | None:
    """Ids of any type as codes (n,), or None.

    Raises:
        InputError: another number of ids than samples.
    """
    if ids is None:
        return None
    array = np.asarray(ids)
    if array.shape != (n,):
        raise InputError(field, f"shape {array.shape}", f"give {n} ids, one a sample")
    return np.unique(array, return_inverse=True)[1].astype(np.int64)


def draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """A seed: the integer itself, a draw of the RandomState, or fresh entropy for None."""
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if isinstance(random_state, bool | np.bool_) or int(random_state) < 0:
        raise InputError("random_state", random_state, "pass a whole number of at least 0")
    return int(random_state)
