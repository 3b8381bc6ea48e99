"""Fitted estimators as folders of safetensors and JSON, never pickle."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from torch import nn
from torch.nn.utils import parametrize

from tscl import __version__
from tscl.disk import check_replaceable, new_folder, sha256_of
from tscl.encoders import ENCODERS, Encoder
from tscl.errors import CheckpointError, InputError
from tscl.registry import python_values
from tscl.saving.encoder import CARD as ENCODER_CARD
from tscl.saving.encoder import WEIGHTS as ENCODER_WEIGHTS
from tscl.saving.encoder import check_folder
from tscl.saving.tensors import load_tensors, read_json, save_tensors, sha256_of_json, write_json


class EncoderByName(BaseEstimator):
    """An estimator with ``encoder_`` and ``method_``, of which not every module can be pickled."""

    encoder_: nn.Module

    def __getstate__(self) -> dict[str, Any]:
        """State with the encoder by name; a method of weight-normalised layers becomes None."""
        state = dict(super().__getstate__())
        encoder = state.get("encoder_")
        if isinstance(encoder, Encoder) and getattr(encoder, "name", None) in ENCODERS.names():
            del state["encoder_"]
            state["_saved_encoder"] = (encoder.name, encoder.config(), encoder.state_dict())
        method = state.get("method_")
        if isinstance(method, nn.Module) and any(
            map(parametrize.is_parametrized, method.modules())
        ):
            state["method_"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        saved = state.pop("_saved_encoder", None)
        super().__setstate__(state)
        if saved is not None:
            name, config, weights = saved
            with torch.random.fork_rng(devices=[]):
                encoder = ENCODERS.build(name, **config)
            encoder.load_state_dict(weights)
            self.encoder_ = encoder.eval()


FORMAT = 2
"""Format 1 had no checksum of the card; it is still read."""

CARD = "estimator.json"
WEIGHTS = "arrays.safetensors"
PART = "transformer"
_OWN = (CARD, ENCODER_CARD, ENCODER_WEIGHTS)
SAVED = (*_OWN, WEIGHTS, f"{PART}/", *(f"{PART}/{name}" for name in _OWN))
"""All names in a saved estimator's folder."""


def check_target(folder: Path) -> None:
    """Raise InputError unless ``folder`` is absent, empty, or an estimator saved earlier."""
    check_replaceable(folder, CARD, SAVED)


def write_card(folder: Path, kind: str, facts: dict[str, Any]) -> None:
    """Write ``estimator.json`` with its format, version, kind and checksum."""
    card = {"format": FORMAT, "tscl": __version__, "kind": kind, **facts}
    write_json(folder / CARD, card | {"card_sha256": sha256_of_json(card)})


def read_card(folder: Path, kind: str) -> dict[str, Any]:
    """Read ``estimator.json``.

    Raises:
        CheckpointError: no folder, pickles or links in it, a card of another format or kind, or
            one that was changed after it was written.
    """
    check_folder(folder, CARD)
    card = read_json(folder / CARD)
    if not isinstance(card, dict) or card.get("format") not in (1, FORMAT):
        raise CheckpointError(CARD, folder, f"this version reads formats 1 to {FORMAT}")
    if card.get("kind") != kind:
        raise CheckpointError(CARD, card.get("kind"), f"load it with {card.get('kind')}.load")
    told = card.pop("card_sha256", None)
    if card["format"] > 1 and told != sha256_of_json(card):
        raise CheckpointError(CARD, folder, "damaged or changed by hand")
    return card


def plain_params(estimator: Any, leave: str | None = None) -> dict[str, Any]:
    """Constructor parameters as JSON types, without the one called ``leave``.

    Raises:
        InputError: a parameter that is an object.
    """
    params = {k: v for k, v in estimator.get_params(deep=False).items() if k != leave}
    plain = {}
    for name, value in params.items():
        plain[name] = _listed(python_values(value))
        try:
            if json.loads(json.dumps(plain[name])) != plain[name]:
                raise TypeError
        except (TypeError, ValueError):
            remedy = "only names, numbers, lists and mappings of them can be saved"
            raise InputError(name, type(value).__name__, remedy) from None
    return plain


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(one) for key, one in value.items()}
    return [_listed(one) for one in value] if isinstance(value, list | tuple) else value


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Whatever a card of wrong content raises becomes one named error."""
    try:
        yield
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CheckpointError(CARD, folder, f"cannot be read: {error!r}") from error


def check_arrays(arrays: dict[str, NDArray[np.float64]], **shapes: tuple[int, ...]) -> None:
    """ValueError unless the named arrays have these shapes; ``scale`` must be positive."""
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} of shape {arrays[name].shape}, not {shape}")
        check_figures(name, arrays[name])


def check_figures(name: str, values: NDArray[np.float64]) -> None:
    """ValueError for means or scales that would make codes of nonsense."""
    if name.startswith("scale") and not (values > 0).all():
        raise ValueError(f"{name} that is not positive")
    if name != "threshold" and not np.isfinite(values).all():
        raise ValueError(f"{name} that is not finite")


def saved_ids(values: NDArray[Any]) -> dict[str, Any]:
    """Labels or ids as JSON: numbers stay numbers, everything else is text."""
    if values.dtype.kind not in "biufUO":
        raise InputError("ids", values.dtype, "use numbers or strings")
    text = values.dtype.kind in "UO"
    return {
        "dtype": "str" if text else str(values.dtype),
        "values": [str(v) for v in values] if text else values.tolist(),
    }


def read_ids(saved: dict[str, Any]) -> NDArray[Any]:
    """What :func:`saved_ids` gave; ValueError unless it is a list of values."""
    kind = np.dtype(saved["dtype"])
    if kind.kind not in "biufU":
        raise ValueError(f"ids of dtype {kind}")
    values = np.asarray(saved["values"], dtype=kind)
    if values.ndim != 1:
        raise ValueError(f"ids of shape {values.shape}")
    return values


def read_classes(saved: dict[str, Any]) -> NDArray[Any]:
    """Class labels in the order of the head's rows: at least two, all different."""
    classes = read_ids(saved)
    if len(classes) < 2 or len(np.unique(classes)) != len(classes):
        raise ValueError("classes that are not two or more different labels")
    return classes


def _save(
    folder: Path,
    kind: str,
    transformer: Any,
    arrays: dict[str, Any],
    facts: dict[str, Any],
) -> Path:
    """An estimator around a transformer: its folder, named float64 arrays, and a card."""
    from tscl.estimators.transformer import ContrastiveTransformer, save_transformer

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


def _load(folder: Path, kind: str) -> tuple[dict[str, Any], Any, dict[str, NDArray[np.float64]]]:
    from tscl.estimators.transformer import load_transformer

    card = read_card(folder, kind)
    transformer = load_transformer(folder / PART)
    weights = folder / WEIGHTS
    if not weights.is_file() or sha256_of(weights) != card.get("sha256"):
        raise CheckpointError(weights.name, folder, "missing, damaged or cut short")
    return card, transformer, {k: t.numpy() for k, t in load_tensors(weights).items()}


def _take_inputs(model: Any, transformer: Any, card: dict[str, Any]) -> None:
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


def _kinds() -> dict[type, tuple[Callable[[Any, Path], Path], Callable[[Path], Any]]]:
    from tscl.estimators import anomaly, classifier, clustering, retrieval, transformer

    return {
        transformer.ContrastiveTransformer: (
            transformer.save_transformer,
            transformer.load_transformer,
        ),
        classifier.ContrastiveClassifier: (classifier.save_classifier, classifier.load_classifier),
        clustering.ContrastiveClusterer: (clustering.save_clusterer, clustering.load_clusterer),
        retrieval.PatientRetrieval: (retrieval.save_retrieval, retrieval.load_retrieval),
        anomaly.ContrastiveAnomalyDetector: (anomaly.save_detector, anomaly.load_detector),
    }


def save_estimator(model: Any, folder: Path) -> Path:
    """Write any of the estimators to ``folder``, which holds nothing else afterwards.

    Raises:
        InputError: ``folder`` holds something that is not an estimator saved earlier.
    """
    check_target(folder)
    return next(save for kind, (save, _) in _kinds().items() if isinstance(model, kind))(
        model, folder
    )


def load_estimator(kind: type, folder: Path) -> Any:
    """Read an estimator of class ``kind`` that :func:`save_estimator` wrote."""
    return next(load for known, (_, load) in _kinds().items() if issubclass(kind, known))(folder)
