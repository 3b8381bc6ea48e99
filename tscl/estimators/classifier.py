"""Contrastive pretraining and a classifier on its embeddings, as one scikit-learn classifier."""

from __future__ import annotations

import copy
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_consistent_length,
    check_memory,
    column_or_1d,
    has_fit_parameter,
)
from torch import nn

from tscl.errors import ConfigError, InputError, check_choice, is_whole
from tscl.estimators.base import Arrays, TransformerBased
from tscl.estimators.inputs import (
    Float32,
    draw_seed,
    kept_on_error,
    read_panel,
    read_weights,
    require_fitted,
)
from tscl.estimators.labels import labelled_rows
from tscl.estimators.pretraining import PretrainingSettings
from tscl.estimators.saved import check_arrays, read_classes, saved_ids
from tscl.estimators.transformer import ContrastiveTransformer
from tscl.evaluation.clinical.core_tuning import TUNERS, build_tuner, check_tuning
from tscl.evaluation.clinical.finetune import head_layers
from tscl.evaluation.clinical.fitted import Classify, linear_head
from tscl.evaluation.explain import Explanation, explain
from tscl.seeding import numpy_generator
from tscl.training.distributed import make_fabric

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
        finetune: trains the encoder on the labels too, with a two-layer head in place of ``head``:
            ``plain`` by cross entropy, ``core`` with contrast of hard mixtures (arXiv 2102.06605),
            ``rank`` for the area under the ROC curve of rare classes (arXiv 2510.00137). None
            leaves the encoder as it was pretrained.
        finetune_params: arguments of :func:`tscl.evaluation.clinical.core_tuning.build_tuner`, such
            as ``{"epochs": 20, "lr": 1e-3}``.
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
    finetune: str | None = None
    finetune_params: dict[str, Any] | None = None
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
        sample_weight: ArrayLike | None = None,
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
            sample_weight: (n,) weights of the series of ``X`` in pretraining, likewise, and in the
                fit of the head, which must take them; only their ratios count. Not with
                ``X_unlabelled`` or ``finetune``.

        Raises:
            DataError, InputError, ConfigError: as of the transformer. ValueError of scikit-learn
                for labels it cannot use.
        """
        with kept_on_error(self):
            return self._fit(X, y, X_unlabelled, patient, trial, background, sample_weight)

    def _fit(
        self,
        X: Any,
        y: Any,
        X_unlabelled: Any,
        patient: Any,
        trial: Any,
        background: Any,
        sample_weight: Any,
    ) -> Self:
        self._check_finetune()
        values = read_panel(self, X, reset=True)
        weights = read_weights(sample_weight, len(values))
        if weights is not None:
            for name, value in (("X_unlabelled", X_unlabelled), ("finetune", self.finetune)):
                if value is not None:
                    remedy = f"not together with {name}; leave one of both out"
                    raise InputError("sample_weight", "given", remedy)
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
            transformer, series, known, patient, trial, background, weights, verbose=self.verbose
        )
        shown = values[labelled]
        if self.channel_dropout:
            shown = np.concatenate([shown, _without_channels(shown, self.channel_dropout)])
            labels = np.concatenate([labels, labels])
        if self.finetune is None:
            head = self._new_head()
            given = {} if weights is None else self._head_weights(head, weights[labelled])
            head.fit(transformer.pool(shown).astype(np.float64), labels, **given)
        else:
            transformer, head = self._tuned(transformer, shown, labels)
        self.transformer_ = transformer
        self.head_ = head
        self.classes_ = head.classes_
        return self

    def _check_finetune(self) -> None:
        if self.finetune is None:
            if self.finetune_params:
                raise InputError("finetune_params", self.finetune_params, "name finetune too")
            return
        check_choice("finetune", self.finetune, tuple(TUNERS), error=ConfigError)
        if self.head is not None:
            raise InputError("head", self.head, "fine-tuning trains its own head; leave it out")
        check_tuning({"name": self.finetune, **(self.finetune_params or {})})

    def _head_weights(self, head: Any, weights: NDArray[np.float64]) -> dict[str, Any]:
        """Arguments of the head's ``fit`` that weigh its samples, by 1 in the mean."""
        weights = weights / max(weights[weights > 0].mean(), np.finfo(np.float64).tiny)
        if self.channel_dropout:
            weights = np.concatenate([weights, weights])
        if self.head is None:
            steps = [name for name, _ in head.steps]
            return {f"{name}__sample_weight": weights for name in steps}
        if not has_fit_parameter(head, "sample_weight"):
            remedy = f"{type(head).__name__} takes none; choose another head"
            raise InputError("sample_weight", "given", remedy)
        return {"sample_weight": weights}

    def _tuned(
        self, transformer: ContrastiveTransformer, shown: Float32, labels: NDArray[Any]
    ) -> tuple[ContrastiveTransformer, NetworkHead]:
        """A transformer whose encoder was trained on the labels, and the head trained with it."""
        if np.isnan(shown[:, -1]).all(axis=1).any():
            raise InputError("finetune", self.finetune, "it needs series of one length; cut X")
        classes, codes = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise InputError("y", "1 class", "give labels of at least two classes")
        where = str(make_fabric(self._train_settings(0)).device)
        given = {"pooling": self.pooling, "device": where, **(self.finetune_params or {})}
        if given["pooling"] != self.pooling:
            raise InputError("finetune_params.pooling", given["pooling"], "set pooling instead")
        tuner = build_tuner(
            transformer.encoder_,
            len(classes),
            name=str(self.finetune),
            seed=draw_seed(self.random_state),
            **given,
        ).fit(transformer.scaled(shown), codes)
        tuned = copy.copy(transformer)
        tuner.network_.cpu()
        tuned.encoder_, tuned.method_ = tuner.network_.encoder, None
        return tuned, NetworkHead(classes, tuner.network_.head)

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

    def classify(self) -> Classify:
        """What follows the encoder, as a module: pooling, head and softmax.

        Raises:
            InputError: a head of one's own, which is no network.
        """
        require_fitted(self, "head_")
        layers = getattr(self.head_, "layers", None)
        if layers is None:
            if self.head is not None:
                remedy = "only the default head and fine-tuned ones are networks"
                raise InputError("head", type(self.head).__name__, remedy)
            pipeline = copy.deepcopy(self.head_)
            pipeline[-1].classes_ = np.arange(len(self.classes_))
            layers = linear_head(pipeline, len(self.classes_))
        return Classify(layers, self.transformer_.pooling)

    def explain(self, X: Any, **options: Any) -> list[Explanation]:
        """What of each series made the probability of a class higher or lower.

        Args:
            X: (n, T, C) as for :meth:`predict`, a few of them.
            **options: of :func:`tscl.evaluation.explain.explain`, such as ``target``.

        Returns:
            One a series, to draw with :meth:`tscl.evaluation.explain.Explanation.figure`.

        Raises:
            MissingExtraError: captum is not installed.
            InputError: a head of one's own, or options that do not fit.
        """
        classify = self.classify()
        parts = {"encoder": self.transformer_.encoder_, "classify": classify}
        network = nn.Sequential(OrderedDict(parts))
        values = self.transformer_.scaled(read_panel(self, X, reset=False))
        names = [str(name) for name in self.classes_]
        return [explain(network, series, names, **options) for series in values]

    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        if self.head is not None:
            remedy = "only the default head is saved; keep the transformer_ and refit your head"
            raise InputError("head", type(self.head).__name__, remedy)
        if self.finetune is not None:
            return {"classes": saved_ids(np.asarray(self.classes_))}, self.head_.arrays()
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
        if self.finetune is not None:
            self.head_ = NetworkHead.restored(self.classes_, arrays, width)
            return
        rows = 1 if len(self.classes_) == 2 else len(self.classes_)
        check_arrays(arrays, mean=(width,), scale=(width,), coef=(rows, width), intercept=(rows,))
        self.head_ = self._new_head()
        scaler, logistic = self.head_[0], self.head_[-1]
        scaler.mean_, scaler.scale_ = arrays["mean"], arrays["scale"]
        scaler.var_, scaler.n_features_in_, scaler.n_samples_seen_ = arrays["scale"] ** 2, width, 0
        logistic.coef_, logistic.intercept_ = arrays["coef"], arrays["intercept"]
        logistic.classes_, logistic.n_features_in_ = self.classes_, width


class NetworkHead:
    """A head trained with its encoder, on pooled embeddings (n, D).

    Args:
        classes: labels in the order of the outputs.
        layers: (n, D) to logits (n, n_classes), in evaluation mode.
    """

    def __init__(self, classes: NDArray[Any], layers: nn.Module) -> None:
        self.classes_, self.layers = classes, layers.eval()

    @torch.no_grad()
    def _logits(self, embeddings: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.layers(torch.from_numpy(embeddings.astype(np.float32))).double())

    def predict_proba(self, embeddings: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities (n, n_classes)."""
        return np.asarray(softmax(self._logits(embeddings), axis=1))

    def decision_function(self, embeddings: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logits (n, n_classes), or their difference (n,) for two classes."""
        logits = self._logits(embeddings)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict(self, embeddings: NDArray[np.float64]) -> NDArray[Any]:
        """Labels (n,)."""
        return np.asarray(self.classes_[self._logits(embeddings).argmax(axis=1)])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its weights by name."""
        return {name: np.asarray(value) for name, value in self.layers.state_dict().items()}

    @classmethod
    def restored(cls, classes: NDArray[Any], arrays: Arrays, width: int) -> NetworkHead:
        """The head that was saved; ValueError or KeyError when the arrays do not fit.

        Args:
            classes: (K,) labels, in the order of the outputs.
            arrays: what :meth:`arrays` gave.
            width: D of the embeddings.
        """
        layers = head_layers(width, len(arrays["0.bias"]), len(classes))
        state = layers.state_dict()
        if set(arrays) != set(state):
            raise ValueError(f"arrays {sorted(arrays)}")
        check_arrays(arrays, **{name: tuple(value.shape) for name, value in state.items()})
        layers.load_state_dict(
            {name: torch.from_numpy(arrays[name]).to(value) for name, value in state.items()}
        )
        return cls(classes, layers)


def _pretrained(
    transformer: ContrastiveTransformer,
    values: NDArray[np.float32],
    labels: Any,
    patient: Any,
    trial: Any,
    background: Any,
    weights: Any,
    verbose: bool,
) -> ContrastiveTransformer:
    """``transformer`` trained on checked series: what ``memory`` keeps."""
    transformer.verbose = verbose
    transformer._fit(values, labels, patient, trial, background, weights=weights)
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
