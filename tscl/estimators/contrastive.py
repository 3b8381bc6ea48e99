"""Contrastive pretraining as a scikit-learn transformer."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.multiclass import type_of_target

from data_loaders.standardize import channel_figures, standardize_groups
from tscl.errors import DataError, InputError
from tscl.estimators.base import PretrainingSettings
from tscl.estimators.by_length import encode_by_length
from tscl.estimators.pickled import EncoderByName
from tscl.estimators.pretraining import (
    build_method,
    check_choice,
    pretrain,
    wants_labels,
    with_loss,
)
from tscl.estimators.series_inputs import (
    Float32,
    draw_seed,
    id_codes,
    kept_on_error,
    read_panel,
    require_fitted,
)
from tscl.inference.encode import encode, encode_causal
from tscl.inference.streaming import StreamingEncoder
from tscl.methods import Method
from tscl.pooling import check_pooling
from tscl.training.engine import TrainSettings

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
