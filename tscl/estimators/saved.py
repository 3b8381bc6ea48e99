"""Fitted estimators as folders of safetensors and JSON, never pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from torch import nn
from torch.nn.utils import parametrize

from tscl import __version__
from tscl.disk import check_replaceable, new_folder
from tscl.encoders import ENCODERS, Encoder
from tscl.errors import CheckpointError, InputError
from tscl.estimators.inputs import require_fitted
from tscl.registry import python_values
from tscl.saving.encoder import CARD as ENCODER_CARD
from tscl.saving.encoder import WEIGHTS as ENCODER_WEIGHTS
from tscl.saving.encoder import check_folder
from tscl.saving.tensors import read_json, sha256_of_json, write_json


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


def read_card(folder: Path, kind: str | None = None) -> dict[str, Any]:
    """Read ``estimator.json`` of an estimator of class ``kind``, or of any.

    Raises:
        CheckpointError: no folder, pickles or links in it, a card of another format or kind, or
            one that was changed after it was written.
    """
    check_folder(folder, CARD)
    card = read_json(folder / CARD)
    if not isinstance(card, dict) or card.get("format") not in (1, FORMAT):
        raise CheckpointError(CARD, folder, f"this version reads formats 1 to {FORMAT}")
    if kind is not None and card.get("kind") != kind:
        raise CheckpointError(CARD, card.get("kind"), f"load it with {card.get('kind')}.load")
    digest = card.pop("card_sha256", None)
    if card["format"] > 1 and digest != sha256_of_json(card):
        raise CheckpointError(CARD, folder, "damaged or changed by hand")
    return card


def plain_params(estimator: Any) -> dict[str, Any]:
    """Constructor parameters as JSON types, without the transformer and places of this machine.

    Raises:
        InputError: a parameter that is an object.
    """
    params = estimator.get_params(deep=False)
    plain = {}
    for name in params.keys() - {"transformer", "checkpoints", "memory", "device"}:
        value = params[name]
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
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


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
    """ValueError for means or scales that would make embeddings of nonsense."""
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


def input_facts(model: Any) -> dict[str, Any]:
    """Columns and their names that ``fit`` saw."""
    names = getattr(model, "feature_names_in_", None)
    return {
        "n_features_in_": int(model.n_features_in_),
        "feature_names_in_": None if names is None else [str(name) for name in names],
    }


def restore_inputs(model: Any, facts: dict[str, Any], channels: int) -> None:
    """Set what :func:`input_facts` gave.

    Args:
        model: the estimator that is set.
        facts: of :func:`input_facts`.
        channels: C of the series in ``fit``.
    """
    model.n_features_in_ = int(facts["n_features_in_"])
    model.n_channels_in_ = channels
    if facts["feature_names_in_"] is not None:
        model.feature_names_in_ = np.asarray(facts["feature_names_in_"], dtype=object)


class SavedEstimator(BaseEstimator):
    """An estimator that goes to a folder of safetensors and JSON and back, never through pickle.

    Attributes:
        fitted_by: the attribute that ``fit`` sets last.
    """

    fitted_by: ClassVar[str]

    def save(self, folder: str | Path) -> Path:
        """Write what was fitted and the parameters, in one step.

        Args:
            folder: absent, empty, or an estimator saved earlier, which is replaced.

        Raises:
            UnfittedEstimatorError: before ``fit``. InputError: an encoder that is not registered,
                a parameter that only pickle could keep, or a ``folder`` with other files in it.
        """
        require_fitted(self, self.fitted_by)
        folder = Path(folder)
        check_replaceable(folder, CARD, SAVED)
        with new_folder(folder) as work:
            facts = self._write_files(work)
            card = {"format": FORMAT, "tscl": __version__, "kind": type(self).__name__}
            card |= {"params": plain_params(self), **facts}
            write_json(work / CARD, card | {"card_sha256": sha256_of_json(card)})
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what :meth:`save` wrote; labels and history of ``fit`` are not kept.

        Raises:
            CheckpointError: a missing, damaged or foreign file.
        """
        folder = Path(folder)
        return cls._read_files(folder, read_card(folder, cls.__name__))

    def _write_files(self, work: Path) -> dict[str, Any]:
        """Write all files but the card; what the card keeps beside the parameters."""
        raise NotImplementedError

    @classmethod
    def _read_files(cls, folder: Path, card: dict[str, Any]) -> Self:
        """The estimator of a card and the files beside it."""
        raise NotImplementedError
