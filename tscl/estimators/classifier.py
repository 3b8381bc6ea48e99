"""Contrastive pretraining and a classifier on its codes, as one scikit-learn classifier."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d
from torch import nn

from tscl.errors import InputError
from tscl.estimators.base import PretrainingSettings
from tscl.estimators.inputs import RandomState, kept_on_error, read_panel, require_fitted
from tscl.estimators.saved import (
    _inputs,
    _load,
    _save,
    _take_inputs,
    check_arrays,
    plain_params,
    read_classes,
    readable,
    saved_ids,
)
from tscl.estimators.transformer import ContrastiveTransformer, check_labelled

Method = TypeVar("Method", bound=Callable[..., Any])


def _head_has(name: str) -> Callable[[Method], Method]:
    def check(self: ContrastiveClassifier) -> bool:
        head = getattr(self, "head_", self.head)
        return head is None or hasattr(head, name)

    decorate: Callable[[Method], Method] = available_if(check)
    return decorate


class ContrastiveClassifier(ClassifierMixin, PretrainingSettings):
    """A :class:`ContrastiveTransformer` and a classifier on its standardised codes.

    Args:
        head: scikit-learn classifier of codes (it is cloned); None is logistic regression on
            standardised codes, COMET's partial fine-tuning (arXiv 2310.14017).
        C: inverse strength of the default head's L2 penalty.

    The other arguments are those of :class:`tscl.estimators.base.PretrainingSettings`.

    Attributes:
        transformer_: the fitted transformer. head_: the fitted head. classes_: the labels.
        n_features_in_, n_channels_in_: as of the transformer.

    Examples:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> y = np.repeat(["slow", "fast"], 10)
        >>> step = np.where(y == "slow", 0.2, 0.9)[:, None] * np.arange(50)
        >>> X = np.sin(step + rng.uniform(0, 6, (20, 1)))
        >>> small = {"output_dims": 8, "hidden_dims": 8, "depth": 2}
        >>> model = ContrastiveClassifier("simclr", encoder_params=small, max_epochs=5)
        >>> float(model.fit(X, y).score(X, y))
        1.0
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
        head: BaseEstimator | None = None,
        C: float = 1.0,
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
        super().__init__(
            method,
            method_params=method_params,
            encoder=encoder,
            encoder_params=encoder_params,
            loss=loss,
            loss_params=loss_params,
            pooling=pooling,
            scale=scale,
            max_epochs=max_epochs,
            batch_size=batch_size,
            lr=lr,
            averaging=averaging,
            max_train_length=max_train_length,
            verbose=verbose,
            random_state=random_state,
        )
        self.head = head
        self.C = C

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        *,
        X_unlabelled: Any = None,
        patient: ArrayLike | None = None,
        trial: ArrayLike | None = None,
    ) -> Self:
        """Pretrain on ``X`` and ``X_unlabelled``, then fit the head on the labelled codes.

        Args:
            X: (n, T, C), or (n, T) for univariate series.
            y: (n,) labels.
            X_unlabelled: further series of the same rank and channels, for pretraining only; not
                with a supervised objective, and not with ids.
            patient, trial: see :meth:`ContrastiveTransformer.fit`.

        Raises:
            DataError, InputError, ConfigError: as of the transformer. ValueError of scikit-learn
                for labels it cannot use.
        """
        with kept_on_error(self):
            return self._fit(X, y, X_unlabelled, patient, trial)

    def _fit(self, X: Any, y: Any, X_unlabelled: Any, patient: Any, trial: Any) -> Self:
        values = read_panel(self, X, reset=True)
        if y is not None:
            check_labelled(y)
        check_classification_targets(y)
        labels = column_or_1d(y, warn=True)
        check_consistent_length(values, labels)
        if self.head is None and len(np.unique(labels)) < 2:
            raise InputError("y", "1 class", "give labels of at least two classes")
        series, known = values, labels
        if X_unlabelled is not None:
            more = read_panel(self, X_unlabelled, reset=False)
            series, known = _join(values, more), None
        transformer = ContrastiveTransformer(
            **{name: getattr(self, name) for name in PretrainingSettings._get_param_names()}
        )
        transformer.n_features_in_ = self.n_features_in_
        transformer.n_channels_in_ = self.n_channels_in_
        if hasattr(self, "feature_names_in_"):
            transformer.feature_names_in_ = self.feature_names_in_
        transformer._fit(series, known, patient, trial)
        codes = transformer.pool(values).astype(np.float64)
        if self.head is None:
            head: Any = make_pipeline(StandardScaler(), LogisticRegression(C=self.C, max_iter=2000))
        else:
            head = clone(self.head)
        head.fit(codes, labels)
        self.transformer_ = transformer
        self.head_ = head
        self.classes_ = head.classes_
        return self

    def _codes(self, X: Any) -> NDArray[np.float64]:
        require_fitted(self, "head_")
        return self.transformer_.pool(read_panel(self, X, reset=False)).astype(np.float64)

    def predict(self, X: Any) -> NDArray[Any]:
        """Labels (n,)."""
        codes = self._codes(X)
        return np.asarray(self.head_.predict(codes))

    @_head_has("predict_proba")
    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Probabilities (n, n_classes) in the codes' precision, columns as in ``classes_``."""
        codes = self._codes(X)
        return np.asarray(self.head_.predict_proba(codes), np.float32)

    @_head_has("decision_function")
    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """The head's scores in the codes' precision: (n,) for two classes, else (n, n_classes)."""
        codes = self._codes(X)
        return np.asarray(self.head_.decision_function(codes), np.float32)


def _join(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Both panels, the shorter series padded with NaN at the end."""
    length = max(a.shape[1], b.shape[1])
    parts = [
        np.pad(x, ((0, 0), (0, length - x.shape[1]), (0, 0)), constant_values=np.nan)
        for x in (a, b)
    ]
    return np.concatenate(parts)


def save_classifier(model: ContrastiveClassifier, folder: Path) -> Path:
    """Write ``model`` to ``folder``; see :meth:`ContrastiveClassifier.save`."""
    require_fitted(model, "head_")
    if model.head is not None:
        remedy = "only the default head is saved; keep the transformer_ and refit your head"
        raise InputError("head", type(model.head).__name__, remedy)
    scaler, logistic = model.head_[0], model.head_[-1]
    arrays = {
        "mean": scaler.mean_,
        "scale": scaler.scale_,
        "coef": logistic.coef_,
        "intercept": logistic.intercept_,
    }
    facts = {
        "params": plain_params(model),
        "classes": saved_ids(np.asarray(model.classes_)),
        **_inputs(model),
    }
    return _save(folder, "ContrastiveClassifier", model.transformer_, arrays, facts)


def load_classifier(folder: Path) -> ContrastiveClassifier:
    """Read what :func:`save_classifier` wrote."""
    card, transformer, arrays = _load(folder, "ContrastiveClassifier")
    width = transformer._n_features_out
    with readable(folder):
        model = ContrastiveClassifier(**card["params"])
        model.classes_ = read_classes(card["classes"])
        rows = 1 if len(model.classes_) == 2 else len(model.classes_)
        check_arrays(arrays, mean=(width,), scale=(width,), coef=(rows, width), intercept=(rows,))
        _take_inputs(model, transformer, card)
    scaler, logistic = StandardScaler(), LogisticRegression(C=model.C, max_iter=2000)
    scaler.mean_, scaler.scale_ = arrays["mean"], arrays["scale"]
    scaler.var_, scaler.n_features_in_, scaler.n_samples_seen_ = arrays["scale"] ** 2, width, 0
    logistic.coef_, logistic.intercept_ = arrays["coef"], arrays["intercept"]
    logistic.classes_, logistic.n_features_in_ = model.classes_, width
    model.head_ = make_pipeline(scaler, logistic)
    return model
