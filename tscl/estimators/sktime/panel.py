"""The scikit-learn estimators for sktime panels: embeddings as a transformation, a classifier."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sktime.classification.base import BaseClassifier
from sktime.transformations.base import BaseTransformer

from data_loaders.adapters.frames import from_sktime
from tscl.estimators.classifier import ContrastiveClassifier
from tscl.estimators.transformer import ContrastiveTransformer

_TAGS: dict[str, Any] = {
    "authors": ["tscl developers"],
    "maintainers": ["tscl developers"],
    "python_dependencies": ["torch"],
    "X_inner_mtype": "pd-multiindex",
    "capability:multivariate": True,
    "capability:unequal_length": True,
    "capability:missing_values": True,
}

_TINY: dict[str, Any] = {
    "encoder": "tcn",
    "encoder_params": {"output_dims": 4, "hidden_dims": 4, "depth": 1},
    "max_epochs": 1,
    "batch_size": 64,
    "max_train_length": 5,  # two sections of the single short series of some checks
}


class ContrastivePanelTransformer(BaseTransformer):
    """A panel of series in, a table of pooled embeddings out, one row an instance.

    Takes every panel type of sktime, series of unequal length and missing values; in ``numpy3D``
    the end of a short series is NaN. Time stamps are not read: steps are taken to be even.

    Parameters
    ----------
    transformer : ContrastiveTransformer or None
        What is trained (it is cloned; wrap a fitted one in ``sklearn.frozen.FrozenEstimator``);
        None takes the default one.

    Attributes
    ----------
    transformer_ : the fitted transformer.

    Examples
    --------
    >>> from sktime.datasets import load_japanese_vowels
    >>> from tscl.estimators import ContrastiveTransformer
    >>> from tscl.estimators.sktime.panel import ContrastivePanelTransformer
    >>> X, y = load_japanese_vowels(split="train")  # unequal lengths, 12 channels
    >>> base = ContrastiveTransformer(encoder_params={"output_dims": 8}, max_epochs=1)
    >>> ContrastivePanelTransformer(base).fit_transform(X).shape
    (270, 8)
    """

    _tags: ClassVar[dict[str, Any]] = {
        **_TAGS,
        "scitype:transform-input": "Series",
        "scitype:transform-output": "Primitives",
        "scitype:instancewise": False,
        "fit_is_empty": False,
        "capability:categorical_in_X": False,
        "capability:missing_values:removes": True,
        "capability:unequal_length:removes": True,
    }

    def __init__(self, transformer: Any = None) -> None:
        self.transformer = transformer
        super().__init__()

    def _fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        base = ContrastiveTransformer() if self.transformer is None else self.transformer
        self.transformer_ = clone(base).fit(from_sktime(X), None)
        return self

    def _transform(self, X: pd.DataFrame, y: Any = None) -> pd.DataFrame:
        embeddings = self.transformer_.transform(from_sktime(X))
        names = [f"embedding{d}" for d in range(embeddings.shape[1])]
        return pd.DataFrame(embeddings, index=_instances(X), columns=names)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Two cheap sets for sktime's own checks."""
        return [
            {"transformer": ContrastiveTransformer(**_TINY)},
            {"transformer": ContrastiveTransformer("simclr", pooling="mean+log_std", **_TINY)},
        ]


class ContrastivePanelClassifier(BaseClassifier):
    """:class:`ContrastiveClassifier` for sktime panels of equal or unequal length.

    Parameters
    ----------
    classifier : ContrastiveClassifier or None
        What is trained (it is cloned); None takes the default one.

    Attributes
    ----------
    classifier_ : the fitted classifier.

    Examples
    --------
    >>> from sktime.datasets import load_japanese_vowels
    >>> from tscl.estimators import ContrastiveClassifier
    >>> from tscl.estimators.sktime.panel import ContrastivePanelClassifier
    >>> X, y = load_japanese_vowels(split="train")
    >>> base = ContrastiveClassifier(encoder_params={"output_dims": 8}, max_epochs=1)
    >>> ContrastivePanelClassifier(base).fit(X, y).predict_proba(X).shape
    (270, 9)
    """

    _tags: ClassVar[dict[str, Any]] = {**_TAGS, "capability:predict_proba": True}

    def __init__(self, classifier: Any = None) -> None:
        self.classifier = classifier
        super().__init__()

    def _fit(self, X: pd.DataFrame, y: NDArray[Any]) -> Self:
        base = ContrastiveClassifier() if self.classifier is None else self.classifier
        self.classifier_ = clone(base).fit(from_sktime(X), y)
        return self

    def _predict(self, X: pd.DataFrame) -> NDArray[Any]:
        return np.asarray(self.classifier_.predict(from_sktime(X)))

    def _predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:
        return np.asarray(self.classifier_.predict_proba(from_sktime(X)))

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Two cheap sets for sktime's own checks."""
        return [
            {"classifier": ContrastiveClassifier(**_TINY)},
            {"classifier": ContrastiveClassifier("simclr", pooling="mean+log_std", **_TINY)},
        ]


def _instances(X: pd.DataFrame) -> pd.Index:
    """Ids of the instances of a panel in their order."""
    return X.index.get_level_values(0).unique()
