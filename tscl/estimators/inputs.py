"""What the scikit-learn estimators accept as ``X``, and how a sample's true length is read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError as SklearnNotFittedError
from sklearn.utils.validation import check_array, validate_data

from data_loaders.container.dataset import MedicalDataset
from data_loaders.container.fields import as_ids
from data_loaders.container.rows import float32_loses, unmasked
from data_loaders.container.windows import pad_series, series_lengths
from tscl.errors import DataError, InputError, NotFittedError, is_whole

logger = logging.getLogger(__name__)
Float32 = NDArray[np.float32]


def encode_by_length(values: Float32, encode_part: Callable[[Float32], Float32]) -> Float32:
    """Embeddings of series (n, T, C) of which trailing steps without any value are padding.

    Args:
        values: the series.
        encode_part: called with series of one length (m, t, C); gives embeddings of every
            step (m, t, D), or fewer (an encoder coarser than its input), or one a series (m, k).

    Returns:
        (n, T, D) with NaN after a series' end, (n, T', D) of the coarse embeddings, or (n, k).

    Raises:
        DataError: a series without any value.
    """
    lengths = series_lengths(values)
    if not lengths.all():
        raise DataError("X", f"sample {int(np.argmin(lengths))} holds no value", "leave it out")
    if (lengths == values.shape[1]).all():
        return np.asarray(encode_part(values))
    parts = []
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        parts.append((rows, length, encode_part(values[rows, :length])))
    shape: tuple[int, ...] = parts[0][2].shape[1:]
    if len(shape) == 2:
        every_step = all(part.shape[1] == length for _, length, part in parts)
        longest = max(part.shape[1] for _, _, part in parts)
        shape = (values.shape[1] if every_step else longest, shape[1])
    out = np.full((len(values), *shape), np.nan, np.float32)
    for rows, _, part in parts:
        if part.ndim == 3:
            out[rows, : part.shape[1]] = part
        else:
            out[rows] = part
    return out


class SeriesInput(BaseEstimator):
    """An estimator of (n, T, C) input in which NaN marks a missing value."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags


RandomState = int | np.random.RandomState | np.random.Generator | None


class UnfittedEstimatorError(NotFittedError, SklearnNotFittedError):
    """The estimator was used before ``fit``; scikit-learn's own error too."""


def require_fitted(estimator: BaseEstimator, attribute: str) -> None:
    """Raise unless ``fit`` has set ``attribute``."""
    if not hasattr(estimator, attribute):
        name = type(estimator).__name__
        raise UnfittedEstimatorError(f"this {name} is not fitted; call fit first")


@contextmanager
def kept_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Put the attributes of ``estimator`` back when the block fails, so that a fit survives it."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def as_array(X: Any) -> Any:
    """``X`` with tensors as arrays, masked values as NaN, and series (T_i, C) padded with NaN.

    Raises:
        DataError: a container in place of its series, or a list of series of unequal rank or,
            when they are 1-D, of unequal length.
    """
    if isinstance(X, MedicalDataset):
        remedy = "pass its series, .X (and .label, .patient, .trial where they are needed)"
        raise DataError("X", "a MedicalDataset", remedy)
    if isinstance(X, torch.Tensor):
        return X.detach().cpu().numpy()
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1:
        X = list(X)
    X = unmasked(X)
    if not isinstance(X, list | tuple) or not len(X):
        return X
    remedy = "give every series as (T_i, C), such as series[:, None] for one channel"
    try:
        ranks = {np.ndim(series) for series in X}
    except ValueError:
        raise DataError("X", "rows of unequal length within a series", remedy) from None
    if ranks == {2}:
        return pad_series(X)[0]
    if len(ranks) > 1 or (ranks == {1} and len({len(series) for series in X}) > 1):
        raise DataError("X", "a list of series of unequal rank or length", remedy)
    return X


def float_type(X: Any) -> type[np.floating]:
    """float64 for numbers whose differences float32 would lose (a large level), else float32."""
    if isinstance(X, pd.DataFrame) and all(kind.kind in "iuf" for kind in X.dtypes):
        X = X.to_numpy()
    numbers = isinstance(X, np.ndarray) and X.dtype.kind in "iuf" and X.ndim in (2, 3)
    if not numbers or X.size == 0:
        return np.float32
    return np.float64 if float32_loses(X[..., None] if X.ndim == 2 else X) else np.float32


def check_float32(values: NDArray[np.floating]) -> Float32:
    """Series (n, T, C) that are not standardised as float32.

    Raises:
        DataError: float32 would lose their differences, since their level is large.
    """
    if float32_loses(values):
        value = f"values around {float(np.nanmedian(values)):g} that vary little"
        raise DataError("X", value, "float32 loses the differences; subtract the level first")
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)


def _numbers(X: Any) -> NDArray[Any]:
    if issparse(X):
        raise DataError("X", type(X).__name__, "sparse input is not supported; pass X.toarray()")
    try:
        array = np.asarray(X)
        if array.dtype.kind != "c":
            return array if array.dtype.kind in "fiu" else array.astype(np.float32)
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
    values = _numbers(as_array(X))
    if values.ndim == 1:
        values = values[None, :, None]
    elif values.ndim == 2:
        values = values[None]
    if values.ndim != 3:
        raise DataError("X", values.shape, "pass (n_samples, n_timesteps, n_channels)")
    if values.shape[2] == 0:
        value = f"0 feature(s) (shape={np.shape(X)}) while a minimum of 1 is required"
        raise DataError("X", value, "pass at least one channel")
    if 0 in values.shape:
        raise DataError("X", values.shape, "pass at least one sample, step and channel")
    values = check_float32(values)
    if np.isinf(values).any():
        raise DataError("X", f"{int(np.isinf(values).sum())} infinite values", "remove them")
    if not allow_missing and np.isnan(values).any():
        raise DataError("X", f"{int(np.isnan(values).sum())} NaN", "fill or drop them")
    for channel in range(0 if allow_constant else values.shape[2]):
        seen = values[..., channel][~np.isnan(values[..., channel])]
        if seen.size == 0 or (values.shape[1] > 1 and np.ptp(seen) == 0):
            raise DataError(f"channel {channel}", "constant or empty", "drop the channel")
    return values


def read_panel(estimator: BaseEstimator, X: Any, *, reset: bool) -> Float32:
    """``X`` as (n_samples, n_timesteps, n_channels) float32 with NaN for missing values.

    Where float32 would lose the differences within a series, such as those of a counter, the
    values stay float64 until standardising has taken the level off.

    A 2-D array or data frame holds one univariate series a row. A 3-D array or tensor is taken as
    it is; a list or object array of (T_i, C) arrays is padded with NaN to the longest. Sets
    ``n_features_in_`` (columns of 2-D, channels of 3-D input) and ``n_channels_in_`` when
    ``reset``, else checks them.

    Args:
        estimator: whose ``n_features_in_`` and ``n_channels_in_`` are set or checked.
        X: the series, as above.
        reset: set the attributes, as ``fit`` does, instead of checking them.

    Raises:
        DataError: wrong rank, an empty axis, infinite values, a sample without any value, or
            other channels than in ``fit``. ValueError of scikit-learn for bad 2-D input.
    """
    X = as_array(X)
    kind = float_type(X)
    if kind == np.float64 and getattr(estimator, "scale", "train") == "none":
        check_float32(np.atleast_3d(np.asarray(X, np.float64)))
    if getattr(X, "ndim", 2) == 3:
        values = check_array(
            X, dtype=kind, allow_nd=True, ensure_all_finite="allow-nan", input_name="X"
        )
        if 0 in values.shape:
            raise DataError("X", values.shape, "pass at least one sample, step and channel")
        _check_channels(estimator, values.shape, reset=reset)
        if reset and values.shape[2] > values.shape[1]:
            logger.warning(
                "X has %d channels and %d steps: it is (n_samples, n_timesteps, n_channels)",
                values.shape[2], values.shape[1],
            )  # fmt: skip
    else:
        if not reset and getattr(estimator, "n_channels_in_", 1) != 1:
            channels = estimator.n_channels_in_
            raise DataError("X", np.shape(X), f"fitted on (n, T, {channels}); pass 3-D input")
        values = validate_data(
            estimator,
            X,
            reset=reset,
            dtype=kind,
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


def read_paired(paired: ArrayLike, n: int | None, method: str) -> Float32:
    """The other modality of each series, float32.

    Args:
        paired: (n, D) finite vectors, or (n, T, C) series.
        n: series in X; None does not check the number.
        method: name of the estimator's method, which must be ``paired``.

    Raises:
        InputError: for another method than ``paired``, of another number or rank, or vectors with
            missing values.
    """
    if method != "paired":
        raise InputError("method", method, "take method='paired' to contrast with paired=")
    values = _numbers(as_array(paired)).astype(np.float32)
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise InputError("paired", values.shape, "pass vectors (n, D) or series (n, T, C)")
    if n is not None and len(values) != n:
        raise InputError("paired", f"{len(values)} rows", f"give one a series, {n}")
    if np.isinf(values).any() or (values.ndim == 2 and np.isnan(values).any()):
        raise InputError("paired", "NaN or infinity", "give finite vectors, one a series")
    return values


def read_weights(sample_weight: ArrayLike | None, n: int) -> NDArray[np.float64] | None:
    """Weights (n,) of samples: of ``sample_weight``, or None.

    Raises:
        InputError: not one finite number of at least 0 a sample, or all of them 0.
    """
    if sample_weight is None:
        return None
    try:
        weights = np.asarray(sample_weight, np.float64)
    except (TypeError, ValueError):
        raise InputError("sample_weight", sample_weight, f"give numbers, ({n},)") from None
    if weights.shape != (n,):
        raise InputError("sample_weight", f"shape {weights.shape}", f"give one a sample, ({n},)")
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        raise InputError("sample_weight", weights[bad][0], "give finite weights of at least 0")
    if not weights.any():
        raise InputError("sample_weight", "all zero", "give a weight above zero")
    return weights


def id_codes(field: str, ids: ArrayLike | None, n: int) -> NDArray[np.int64] | None:
    """Ids as codes (n,), or None.

    Args:
        field: name of the ids, for the error.
        ids: (n,) strings or whole numbers, or None.
        n: samples.

    Raises:
        InputError: another number of ids than samples, a missing id, or ids that are neither
            strings nor whole numbers.
    """
    if ids is None:
        return None
    return np.unique(as_ids(field, ids, n), return_inverse=True)[1].astype(np.int64)


def draw_seed(random_state: RandomState) -> int:
    """A seed: the integer itself, a draw of the generator, or fresh entropy for None.

    Raises:
        InputError: anything else.
    """
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31 - 1))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if not is_whole(random_state) or random_state < 0:
        raise InputError("random_state", random_state, "pass a whole number of at least 0")
    return int(random_state)
