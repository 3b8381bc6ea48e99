"""What the scikit-learn estimators have in common: saving, tags, settings, standardised codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from torch import nn

from tscl.estimators.inputs import Float32, RandomState


class SavedEstimator(BaseEstimator):
    """An estimator that goes to a folder of safetensors and JSON and back, never through pickle."""

    def save(self, folder: str | Path) -> Path:
        """Write what was fitted and the parameters, in one step.

        Args:
            folder: absent, empty, or an estimator saved earlier, which is replaced.

        Raises:
            UnfittedEstimatorError: before ``fit``. InputError: an encoder that is not registered,
                a parameter that only pickle could keep, or a ``folder`` with other files in it.
        """
        from tscl.estimators.saved import save_estimator

        return save_estimator(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what :meth:`save` wrote; labels and history of ``fit`` are not kept.

        Raises:
            CheckpointError: a missing, damaged or foreign file.
        """
        from tscl.estimators.saved import load_estimator

        loaded: Self = load_estimator(cls, Path(folder))
        return loaded


class SeriesInput(BaseEstimator):
    """An estimator of (n, T, C) input in which NaN marks a missing value."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags


class SeriesEstimator(SavedEstimator, SeriesInput):
    """An estimator of (n, T, C) or (n, T) input that is saved to a folder."""


class PretrainingSettings(SeriesEstimator):
    """The parameters of contrastive pretraining.

    Args:
        method: name in :data:`tscl.methods.METHODS`. ``method_params``: its arguments.
        encoder: name in :data:`tscl.encoders.ENCODERS` or a module that follows the encoder
            contract (it is copied). ``encoder_params``: arguments of a named encoder.
        loss: name in :data:`tscl.losses.LOSSES` or a module, for methods that take one; None
            keeps the method's own. ``loss_params``: its arguments.
        pooling: over time: ``max``, ``mean``, ``std``, ``log_std`` or ``last``, or several joined
            by ``+``, side by side (:func:`tscl.pooling.pool_time`).
        scale: ``train`` standardises each channel by the mean and deviation of the series seen in
            ``fit``, ``sample`` each channel of each series by its own, ``none`` leaves X as it is.
        max_epochs, batch_size, lr, averaging: training.
        max_train_length: longer series are cut into sections of this length for training.
        verbose: show a progress bar.
        random_state: seed of weights, batches and views: a whole number, a RandomState or
            Generator to draw it from, or None for a new one every time.
    """

    def __init__(
        self,
        method: str = "ts2vec",
        *,
        method_params: dict[str, Any] | None = None,
        encoder: str | nn.Module = "dilated",
        encoder_params: dict[str, Any] | None = None,
        loss: str | nn.Module | None = None,
        loss_params: dict[str, Any] | None = None,
        pooling: str = "max",
        scale: str = "train",
        max_epochs: int = 20,
        batch_size: int = 32,
        lr: float = 1e-3,
        averaging: str = "swa",
        max_train_length: int = 256,
        verbose: bool = False,
        random_state: RandomState = 0,
    ) -> None:
        self.method = method
        self.method_params = method_params
        self.encoder = encoder
        self.encoder_params = encoder_params
        self.loss = loss
        self.loss_params = loss_params
        self.pooling = pooling
        self.scale = scale
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.averaging = averaging
        self.max_train_length = max_train_length
        self.verbose = verbose
        self.random_state = random_state


class StandardCodes(SeriesEstimator):
    """Pooled codes of a transformer, standardised by those seen in ``fit``."""

    transformer_: Any
    code_mean_: NDArray[np.float64]
    code_scale_: NDArray[np.float64]

    def _fit_codes(
        self, transformer: BaseEstimator, values: Float32, y: Any, **ids: Any
    ) -> NDArray[np.float64]:
        """Train a clone of ``transformer`` on (n, T, C); the standardised codes (n, D) of it.

        Ids that are None are not passed on.
        """
        given = {name: value for name, value in ids.items() if value is not None}
        self.transformer_ = clone(transformer).fit(values, y, **given)
        codes = self.transformer_.pool(values).astype(np.float64)
        deviation = codes.std(axis=0)
        self.code_mean_ = codes.mean(axis=0)
        # codes are float32: a dimension that varies by less than their spacing holds only rounding
        spacing = np.spacing(np.abs(codes).max(axis=0).astype(np.float32))
        self.code_scale_ = np.where(deviation > spacing, deviation, 1.0)
        return np.asarray((codes - self.code_mean_) / self.code_scale_)

    def _codes(self, values: Float32) -> NDArray[np.float64]:
        """Standardised codes (n, D) of further series."""
        codes = self.transformer_.pool(values).astype(np.float64)
        return np.asarray((codes - self.code_mean_) / self.code_scale_)
