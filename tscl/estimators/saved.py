"""Fitted estimators as folders of safetensors and JSON, never pickle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tscl.disk import new_folder, sha256_of
from tscl.errors import CheckpointError, InputError
from tscl.estimators.anomaly import ContrastiveAnomalyDetector
from tscl.estimators.clustering import ContrastiveClusterer
from tscl.estimators.contrastive import SCALES, ContrastiveTransformer
from tscl.estimators.contrastive_classifier import ContrastiveClassifier
from tscl.estimators.pretraining import check_choice
from tscl.estimators.retrieval import METRICS, PatientRetrieval, check_index
from tscl.estimators.saved_card import (
    PART,
    WEIGHTS,
    check_arrays,
    check_figures,
    check_target,
    plain_params,
    read_card,
    read_classes,
    read_ids,
    readable,
    saved_ids,
    write_card,
)
from tscl.estimators.series_inputs import require_fitted
from tscl.pooling import check_pooling
from tscl.training.model_files import load_encoder, save_encoder
from tscl.training.storage import load_tensors, save_tensors


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


def _save(
    folder: Path,
    kind: str,
    transformer: Any,
    arrays: dict[str, Any],
    facts: dict[str, Any],
) -> Path:
    """An estimator around a transformer: its folder, named float64 arrays, and a card."""
    fitted = getattr(transformer, "estimator", transformer)
    if not isinstance(fitted, ContrastiveTransformer):
        name = type(fitted).__name__
        raise InputError("transformer", name, "only a ContrastiveTransformer can be saved")
    with new_folder(folder) as work:
        save_transformer(fitted, work / PART)
        tensors = {k: torch.from_numpy(np.array(a, np.float64)) for k, a in arrays.items()}
        save_tensors(work / WEIGHTS, tensors)
        write_card(work, kind, {**facts, "sha256": sha256_of(work / WEIGHTS)})
    return folder


def _load(
    folder: Path, kind: str
) -> tuple[dict[str, Any], ContrastiveTransformer, dict[str, NDArray[np.float64]]]:
    card = read_card(folder, kind)
    transformer = load_transformer(folder / PART)
    weights = folder / WEIGHTS
    if not weights.is_file() or sha256_of(weights) != card.get("sha256"):
        raise CheckpointError(weights.name, folder, "missing, damaged or cut short")
    return card, transformer, {k: t.numpy() for k, t in load_tensors(weights).items()}


def _take_inputs(model: Any, transformer: ContrastiveTransformer, card: dict[str, Any]) -> None:
    model.transformer_ = transformer
    model.n_features_in_ = int(card["n_features_in_"])
    model.n_channels_in_ = transformer.n_channels_in_
    if card["feature_names_in_"] is not None:
        model.feature_names_in_ = np.asarray(card["feature_names_in_"], dtype=object)


def _inputs(model: Any) -> dict[str, Any]:
    names = getattr(model, "feature_names_in_", None)
    return {
        "n_features_in_": int(model.n_features_in_),
        "feature_names_in_": None if names is None else [str(name) for name in names],
    }


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


def save_clusterer(model: ContrastiveClusterer, folder: Path) -> Path:
    """Write ``model`` to ``folder``; see :meth:`ContrastiveClusterer.save`."""
    require_fitted(model, "cluster_centers_")
    arrays = {
        "centers": model.cluster_centers_,
        "mean": model.code_mean_,
        "scale": model.code_scale_,
    }
    facts = {"params": plain_params(model, leave=PART), **_inputs(model)}
    return _save(folder, "ContrastiveClusterer", model.transformer_, arrays, facts)


def load_clusterer(folder: Path) -> ContrastiveClusterer:
    """Read what :func:`save_clusterer` wrote."""
    card, transformer, arrays = _load(folder, "ContrastiveClusterer")
    width = transformer._n_features_out
    with readable(folder):
        model = ContrastiveClusterer(transformer=clone(transformer), **card["params"])
        check_arrays(arrays, centers=(int(model.n_clusters), width), mean=(width,), scale=(width,))
        _take_inputs(model, transformer, card)
    model.cluster_centers_ = arrays["centers"]
    model.code_mean_, model.code_scale_ = arrays["mean"], arrays["scale"]
    return model


def save_retrieval(model: PatientRetrieval, folder: Path) -> Path:
    """Write ``model`` to ``folder``; see :meth:`PatientRetrieval.save`."""
    require_fitted(model, "codes_")
    arrays = {"codes": model.codes_, "mean": model.code_mean_, "scale": model.code_scale_}
    facts = {
        "params": plain_params(model, leave=PART),
        "patient": saved_ids(model.patient_),
        "trial": saved_ids(model.trial_),
        **_inputs(model),
    }
    return _save(folder, "PatientRetrieval", model.transformer_, arrays, facts)


def load_retrieval(folder: Path) -> PatientRetrieval:
    """Read what :func:`save_retrieval` wrote."""
    card, transformer, arrays = _load(folder, "PatientRetrieval")
    width = transformer._n_features_out
    with readable(folder):
        model = PatientRetrieval(clone(transformer), **card["params"])
        check_choice("metric", model.metric, METRICS)
        patients, trials = read_ids(card["patient"]), read_ids(card["trial"])
        check_arrays(arrays, codes=(len(patients), width), mean=(width,), scale=(width,))
        check_index(arrays["codes"], patients, trials)
        _take_inputs(model, transformer, card)
        model.code_mean_, model.code_scale_ = arrays["mean"], arrays["scale"]
        return model._index(arrays["codes"], patients, trials)


def save_detector(model: ContrastiveAnomalyDetector, folder: Path) -> Path:
    """Write ``model`` to ``folder``; see :meth:`ContrastiveAnomalyDetector.save`."""
    require_fitted(model, "threshold_")
    facts = {
        "params": plain_params(model, leave=PART),
        "n_features_in_": int(model.n_features_in_),
        "feature_names_in_": None,
    }
    arrays = {"threshold": [model.threshold_]}
    return _save(folder, "ContrastiveAnomalyDetector", model.transformer_, arrays, facts)


def load_detector(folder: Path) -> ContrastiveAnomalyDetector:
    """Read what :func:`save_detector` wrote."""
    card, transformer, arrays = _load(folder, "ContrastiveAnomalyDetector")
    with readable(folder):
        model = ContrastiveAnomalyDetector(clone(transformer), **card["params"])
        check_arrays(arrays, threshold=(1,))
        _take_inputs(model, transformer, card)
    model.threshold_ = float(arrays["threshold"][0])
    return model


_KINDS: dict[type, tuple[Callable[[Any, Path], Path], Callable[[Path], Any]]] = {
    ContrastiveTransformer: (save_transformer, load_transformer),
    ContrastiveClassifier: (save_classifier, load_classifier),
    ContrastiveClusterer: (save_clusterer, load_clusterer),
    PatientRetrieval: (save_retrieval, load_retrieval),
    ContrastiveAnomalyDetector: (save_detector, load_detector),
}


def save_estimator(model: Any, folder: Path) -> Path:
    """Write any of the estimators to ``folder``, which holds nothing else afterwards.

    Raises:
        InputError: ``folder`` holds something that is not an estimator saved earlier.
    """
    check_target(folder)
    return next(save for kind, (save, _) in _KINDS.items() if isinstance(model, kind))(
        model, folder
    )


def load_estimator(kind: type, folder: Path) -> Any:
    """Read an estimator of class ``kind`` that :func:`save_estimator` wrote."""
    return next(load for known, (_, load) in _KINDS.items() if issubclass(kind, known))(folder)
