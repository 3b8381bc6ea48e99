"""Contrastive pretraining and a classifier on its embeddings, as one scikit-learn classifier."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_memory, column_or_1d

from tscl.errors import InputError, is_whole
from tscl.estimators.base import Arrays, TransformerBased
from tscl.estimators.inputs import kept_on_error, read_panel, require_fitted
from tscl.estimators.labels import labelled_rows
from tscl.estimators.pretraining import PretrainingSettings
from tscl.estimators.saved import check_arrays, read_classes, saved_ids
from tscl.estimators.transformer import ContrastiveTransformer
from tscl.seeding import numpy_generator

logger = logging.getLogger(__name__)
Method = TypeVar("Method", bound=Callable[..., Any])


def _head_has(name: str) -> Callable[[Method], Method]:
    def check(self: ContrastiveClassifier) -> bool:
        head = getattr(self, "head_", self.head)
        return head is None or hasattr(head, name)

    decorate: Callable[[Method], Method] = available_if(check)
    return decorate


@dataclass(eq=False, repr=False)
class ContrastiveClassifier(ClassifierMixin, PretrainingSettings, TransformerBased):
    """A :class:`ContrastiveTransformer` and a classifier on its standardised embeddings.

    Args:
        head: scikit-learn classifier of embeddings (it is cloned); None is logistic regression on
            standardised embeddings, COMET's partial fine-tuning (arXiv 2310.14017).
        C: inverse strength of the default head's L2 penalty.
        memory: folder or ``joblib.Memory`` that keeps pretrained transformers, so that other values
            of ``C`` and ``head`` do not pretrain again; with a whole number as ``random_state``.

    The other arguments are those of :class:`tscl.estimators.pretraining.PretrainingSettings`.

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

    fitted_by: ClassVar[str] = "head_"

    _: KW_ONLY
    head: BaseEstimator | None = None
    C: float = 1.0
    memory: Any = None

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        *,
        X_unlabelled: Any = None,
        patient: ArrayLike | None = None,
        trial: ArrayLike | None = None,
        background: Any = None,
    ) -> Self:
        """Pretrain on all series, then fit the head on the embeddings of the labelled ones.

        Args:
            X: (n, T, C), or (n, T) for univariate series.
            y: (n,) labels. None, NaN and pandas' NA mark a series without a label, which joins
                pretraining only; so does -1 beside two or more other whole numbers, as in
                scikit-learn. Not with a supervised objective.
            X_unlabelled: further series of the same rank and channels, for pretraining only; not
                with a supervised objective, and not with ids.
            patient: (n,) ids, see :meth:`ContrastiveTransformer.fit`.
            trial: (n,) ids, likewise.
            background: label of the background samples, likewise.

        Raises:
            DataError, InputError, ConfigError: as of the transformer. ValueError of scikit-learn
                for labels it cannot use.
        """
        with kept_on_error(self):
            return self._fit(X, y, X_unlabelled, patient, trial, background)

    def _fit(
        self, X: Any, y: Any, X_unlabelled: Any, patient: Any, trial: Any, background: Any
    ) -> Self:
        values = read_panel(self, X, reset=True)
        labelled = labelled_rows(y)
        if y is not None:
            check_consistent_length(values, labelled)
        if not labelled.all():
            y = np.array(np.ravel(np.asarray(y, dtype=object))[labelled].tolist())
            logger.info("%d of %d series have no label", (~labelled).sum(), len(labelled))
            if not labelled.any():
                raise InputError("y", "no label", "give labels of at least two classes")
        check_classification_targets(y)
        labels = column_or_1d(y, warn=True)
        check_consistent_length(values[labelled], labels)
        if self.head is None and len(np.unique(labels)) < 2:
            raise InputError("y", "1 class", "give labels of at least two classes")
        series, known = values, labels if labelled.all() else None
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
        # a fit from a fixed seed is a function of its arguments; others are drawn anew each time
        cached = check_memory(self.memory).cache(_pretrained, ignore=["verbose"])
        fit = cached if is_whole(self.random_state) else _pretrained
        transformer = fit(
            transformer, series, known, patient, trial, background, verbose=self.verbose
        )
        head = self._new_head()
        shown = values[labelled]
        if self.channel_dropout:
            shown = np.concatenate([shown, _without_channels(shown, self.channel_dropout)])
            labels = np.concatenate([labels, labels])
        head.fit(transformer.pool(shown).astype(np.float64), labels)
        self.transformer_ = transformer
        self.head_ = head
        self.classes_ = head.classes_
        return self

    def _new_head(self) -> Any:
        if self.head is not None:
            return clone(self.head)
        return make_pipeline(StandardScaler(), LogisticRegression(C=self.C, max_iter=2000))

    def _embeddings(self, X: Any) -> NDArray[np.float64]:
        require_fitted(self, "head_")
        return np.asarray(self.transformer_.pool(read_panel(self, X, reset=False)), np.float64)

    def predict(self, X: Any) -> NDArray[Any]:
        """Labels (n,)."""
        embeddings = self._embeddings(X)
        return np.asarray(self.head_.predict(embeddings))

    @_head_has("predict_proba")
    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Probabilities (n, n_classes) in float32, columns as in ``classes_``."""
        embeddings = self._embeddings(X)
        return np.asarray(self.head_.predict_proba(embeddings), np.float32)

    @_head_has("decision_function")
    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """The head's scores in float32: (n,) for two classes, else (n, n_classes)."""
        embeddings = self._embeddings(X)
        return np.asarray(self.head_.decision_function(embeddings), np.float32)

    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        if self.head is not None:
            remedy = "only the default head is saved; keep the transformer_ and refit your head"
            raise InputError("head", type(self.head).__name__, remedy)
        scaler, logistic = self.head_[0], self.head_[-1]
        return {"classes": saved_ids(np.asarray(self.classes_))}, {
            "mean": scaler.mean_,
            "scale": scaler.scale_,
            "coef": logistic.coef_,
            "intercept": logistic.intercept_,
        }

    def _from_state(self, facts: dict[str, Any], arrays: Arrays) -> None:
        width = self.transformer_._n_features_out
        self.classes_ = read_classes(facts["classes"])
        rows = 1 if len(self.classes_) == 2 else len(self.classes_)
        check_arrays(arrays, mean=(width,), scale=(width,), coef=(rows, width), intercept=(rows,))
        self.head_ = self._new_head()
        scaler, logistic = self.head_[0], self.head_[-1]
        scaler.mean_, scaler.scale_ = arrays["mean"], arrays["scale"]
        scaler.var_, scaler.n_features_in_, scaler.n_samples_seen_ = arrays["scale"] ** 2, width, 0
        logistic.coef_, logistic.intercept_ = arrays["coef"], arrays["intercept"]
        logistic.classes_, logistic.n_features_in_ = self.classes_, width


def _pretrained(
    transformer: ContrastiveTransformer,
    values: NDArray[np.float32],
    labels: Any,
    patient: Any,
    trial: Any,
    background: Any,
    verbose: bool,
) -> ContrastiveTransformer:
    """``transformer`` trained on checked series: what ``memory`` keeps."""
    transformer.verbose = verbose
    transformer._fit(values, labels, patient, trial, background)
    return transformer


def _without_channels(values: NDArray[np.float32], p: float) -> NDArray[np.float32]:
    """A copy of each series (n, T, C) in which each channel is missing with probability ``p``."""
    rng = numpy_generator(0, "channel dropout of the head")
    lost = rng.random((len(values), values.shape[2])) < p
    lost[np.arange(len(values)), rng.integers(values.shape[2], size=len(values))] = False
    return np.where(lost[:, None, :], np.float32(np.nan), values)


def _join(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Both panels, the shorter series padded with NaN at the end."""
    length = max(a.shape[1], b.shape[1])
    parts = [
        np.pad(x, ((0, 0), (0, length - x.shape[1]), (0, 0)), constant_values=np.nan)
        for x in (a, b)
    ]
    return np.concatenate(parts)
