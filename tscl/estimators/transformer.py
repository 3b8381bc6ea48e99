"""Contrastive pretraining as a scikit-learn transformer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.multiclass import type_of_target
from torch import nn

from data_loaders.container.standardize import channel_figures, standardize_groups
from tscl.disk import new_folder
from tscl.errors import DataError, InputError, NotFittedError
from tscl.estimators.base import PretrainingSettings, SeriesInput
from tscl.estimators.inputs import (
    Float32,
    RandomState,
    as_array,
    check_float32,
    draw_seed,
    encode_by_length,
    id_codes,
    kept_on_error,
    read_panel,
    require_fitted,
)
from tscl.estimators.pretraining import (
    build_method,
    check_choice,
    pretrain,
    wants_labels,
    with_loss,
)
from tscl.estimators.saved import (
    EncoderByName,
    _inputs,
    check_figures,
    plain_params,
    read_card,
    readable,
    write_card,
)
from tscl.inference.encode import encode, encode_causal
from tscl.inference.streaming import StreamingEncoder
from tscl.methods import Method
from tscl.pooling import check_pooling
from tscl.saving.encoder import load_encoder, save_encoder
from tscl.training.trainer import TrainSettings


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
        found = f"0 feature(s) (shape={np.shape(X)}) while a minimum of 1 is required"
        raise DataError("X", found, "pass at least one channel")
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


SCALES = ("train", "sample", "none")


class ContrastiveTransformer(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, EncoderByName, PretrainingSettings
):
    """Series in, codes out: any registered method and encoder, trained in ``fit``.

    ``X`` is (n_samples, n_timesteps, n_channels), NaN where a value is missing; trailing steps
    without any value are padding and do not enter a sample's code. A 2-D ``X`` is one univariate
    series a row, so that the estimator fits scikit-learn's tools.

    Args:
        method, encoder, loss, pooling, scale and the others: see
            :class:`tscl.estimators.base.PretrainingSettings`.

    Attributes:
        encoder_: the trained encoder. method_: the whole method (None in copies and after
            ``load``).
        history_: a row a training step. n_features_in_: columns of 2-D or channels of 3-D input.
        n_channels_in_: channels. mean_, scale_: (C,) of ``scale="train"``, else None.

    Examples:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(8, 40, 2))
        >>> small = {"output_dims": 4, "hidden_dims": 4, "depth": 1}
        >>> model = ContrastiveTransformer("simclr", encoder_params=small, max_epochs=1)
        >>> model.fit_transform(X).shape
        (8, 4)
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *,
        patient: ArrayLike | None = None,
        trial: ArrayLike | None = None,
    ) -> Self:
        """Train on ``X``; an estimator that was fitted stays as it was when this fails.

        Args:
            X: (n, T, C), or (n, T) for univariate series.
            y: (n,) classes or targets; read by supervised objectives only.
            patient: (n,) ids for methods that contrast patients, such as ``comet``; their batches
                hold whole trials. ``trial``: (n,) likewise; by default every sample is one.

        Raises:
            DataError: input that cannot be trained on. InputError: labels or ids missing that the
                method needs. ConfigError: an unknown name or parameter.
        """
        with kept_on_error(self):
            self._fit(read_panel(self, X, reset=True), y, patient, trial)
        return self

    def _fit(
        self, values: Float32, y: ArrayLike | None, patient: Any = None, trial: Any = None
    ) -> None:
        check_pooling(self.pooling)
        check_choice("scale", self.scale, SCALES)
        self._measure(values)
        seed = draw_seed(self.random_state)
        method = build_method(
            self.method,
            with_loss(self.method, self.method_params, self.loss, self.loss_params),
            self.encoder,
            self.encoder_params,
            channels=values.shape[2],
            seed=seed,
        )
        result = pretrain(
            method,
            self.scaled(values),
            TrainSettings(
                max_epochs=self.max_epochs,
                lr=self.lr,
                averaging=self.averaging,  # type: ignore[arg-type]
                seed=seed,
            ),
            batch_size=self.batch_size,
            max_train_length=self.max_train_length,
            labels=_label_codes(y, len(values)) if wants_labels(method) else None,
            ids=_ids(patient, trial, len(values)),
            verbose=self.verbose,
            title=self.method,
        )
        self.method_: Method | None = method
        self.encoder_ = result.encoder
        self.history_ = result.history

    @property
    def _n_features_out(self) -> int:
        """Width of the pooled codes."""
        dims: int = self.encoder_.output_dims  # type: ignore[assignment]
        return dims * len(check_pooling(self.pooling))

    def transform(self, X: Any) -> Float32:
        """Codes pooled over time, (n_samples, k D) float32, k the number of poolings named.

        Raises:
            UnfittedEstimatorError, DataError: see ``fit``.
        """
        require_fitted(self, "encoder_")
        return self.pool(read_panel(self, X, reset=False))

    def pool(self, values: Float32) -> Float32:
        """``transform`` of checked series (n, T, C) float32 in the unit of ``fit``'s ``X``."""
        return encode_by_length(
            self.scaled(values),
            lambda part: encode(self.encoder_, part, pooling=self.pooling),  # type: ignore[arg-type]
        )

    def encode(self, X: Any, *, causal: bool = False, window: int = 200) -> Float32:
        """Codes of every step, (n_samples, n_timesteps, D) float32, NaN after a sample's end.

        Args:
            X: see ``fit``.
            causal: codes that know the past only; a centred encoder then sees ``window`` steps
                of the past (:func:`tscl.inference.encode_causal`).
        """
        require_fitted(self, "encoder_")
        values = self.scaled(read_panel(self, X, reset=False))

        def part_codes(part: Float32) -> Float32:
            if causal:
                return encode_causal(self.encoder_, part, window=window).codes  # type: ignore[arg-type]
            return encode(self.encoder_, part)  # type: ignore[arg-type]

        return encode_by_length(values, part_codes)

    def stream(self) -> StreamingEncoder:
        """An encoder of live samples in the unit of ``fit``'s ``X``, scaled like them.

        Raises:
            InputError: ``scale="sample"``, which needs the whole series, or an encoder that sees
                the future.
        """
        require_fitted(self, "encoder_")
        if self.scale == "sample":
            raise InputError("scale", self.scale, "a stream needs scale='train' or 'none'")
        return StreamingEncoder(self.encoder_, mean=self.mean_, scale=self.scale_)  # type: ignore[arg-type]

    def __getstate__(self) -> dict[str, Any]:
        """State for pickle and copies, without ``method_``."""
        state = super().__getstate__()
        if "method_" in state:
            state["method_"] = None
        return state

    def _measure(self, values: Float32) -> None:
        self.mean_: NDArray[np.float64] | None = None
        self.scale_: NDArray[np.float64] | None = None
        if self.scale == "train":
            self.mean_, self.scale_, count = channel_figures(values)
            if not count.all():
                channel = f"channel {int(np.argmin(count))}"
                raise DataError("X", f"{channel} holds no value", "leave the channel out")

    def scaled(self, values: Float32) -> Float32:
        """Series (n, T, C) float32 as the encoder sees them.

        Raises:
            DataError: other channels than in ``fit``.
        """
        if values.shape[2] != self.n_channels_in_:
            raise DataError("X", values.shape, f"fitted on {self.n_channels_in_} channels")
        if self.scale == "train":
            assert self.mean_ is not None
            assert self.scale_ is not None
            return np.asarray((values - self.mean_) / self.scale_, np.float32)
        return standardize_groups(values, None) if self.scale == "sample" else values


def check_labelled(y: ArrayLike) -> None:
    """Raise InputError when a label is missing (None, NaN or pandas' NA)."""
    missing = int(np.sum(pd.isna(np.asarray(y, dtype=object))))
    if missing:
        raise InputError("y", f"{missing} missing labels", "label every series, or leave it out")


def _label_codes(y: ArrayLike | None, n: int) -> NDArray[Any]:
    """Labels as the objectives read them: class codes int64, or targets float32."""
    if y is None:
        raise InputError("y", None, "this objective is supervised; pass labels to fit")
    check_labelled(y)
    array = np.asarray(y)
    if len(array) != n:
        raise InputError("y", f"{len(array)} labels", f"give one a sample, {n}")
    if type_of_target(array).startswith("continuous"):
        return array.astype(np.float32)
    if array.ndim != 1:
        raise InputError("y", f"shape {array.shape}", f"give one label a sample, ({n},)")
    return np.unique(array, return_inverse=True)[1].astype(np.int64)


def _ids(patient: Any, trial: Any, n: int) -> dict[str, NDArray[np.int64]]:
    patients, trials = id_codes("patient", patient, n), id_codes("trial", trial, n)
    if patients is None:
        if trials is not None:
            raise InputError("patient", None, "trials belong to patients; pass patient too")
        return {}
    if trials is None:
        trials = np.arange(n)
    pairs = np.stack([patients, trials], axis=1)
    own = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)
    return {"patient": patients, "trial": own.astype(np.int64)}


def save_transformer(model: ContrastiveTransformer, folder: Path) -> Path:
    """Write ``model`` to ``folder``; see :meth:`ContrastiveTransformer.save`."""
    require_fitted(model, "encoder_")
    params = plain_params(model)
    with new_folder(folder) as work:
        save_encoder(work, model.encoder_)
        write_card(work, "ContrastiveTransformer", {"params": params, "state": _state(model)})
    return folder


def load_transformer(folder: Path) -> ContrastiveTransformer:
    """Read what :func:`save_transformer` wrote."""
    card = read_card(folder, "ContrastiveTransformer")
    encoder, _ = load_encoder(folder)
    with readable(folder):
        model = ContrastiveTransformer(**card["params"])
        check_pooling(model.pooling)
        check_choice("scale", model.scale, SCALES)
        _restore(model, card["state"])
        if encoder.input_dims != model.n_channels_in_:
            raise ValueError(f"encoder of {encoder.input_dims} channels")
    model.encoder_ = encoder
    model.method_ = None
    model.history_ = []
    return model


def _state(model: ContrastiveTransformer) -> dict[str, Any]:
    return {
        **_inputs(model),
        "n_channels_in_": int(model.n_channels_in_),
        "mean_": None if model.mean_ is None else model.mean_.tolist(),
        "scale_": None if model.scale_ is None else model.scale_.tolist(),
    }


def _restore(model: ContrastiveTransformer, state: dict[str, Any]) -> None:
    model.n_features_in_ = int(state["n_features_in_"])
    model.n_channels_in_ = int(state["n_channels_in_"])
    if state["feature_names_in_"] is not None:
        model.feature_names_in_ = np.asarray(state["feature_names_in_"], dtype=object)
    for name in ("mean_", "scale_"):
        value = state[name]
        array = None if value is None else np.asarray(value, np.float64)
        if array is not None and array.shape != (model.n_channels_in_,):
            raise ValueError(f"{name} of shape {array.shape}")
        if (array is None) == (model.scale == "train"):
            raise ValueError(f"{name} does not go with scale={model.scale!r}")
        if array is not None:
            check_figures(name, array)
        setattr(model, name, array)
