"""What the estimators around a transformer share: saving, and standardised embeddings."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone

from tscl.disk import sha256_of
from tscl.errors import CheckpointError, InputError
from tscl.estimators.inputs import Float32, SeriesInput
from tscl.estimators.saved import (
    PART,
    WEIGHTS,
    SavedEstimator,
    input_facts,
    readable,
    restore_inputs,
)
from tscl.estimators.transformer import ContrastiveTransformer, load_transformer
from tscl.saving.tensors import load_tensors, save_tensors

Arrays = dict[str, NDArray[np.float64]]


def earlier_name(new: str) -> property:
    """A property of an older name, which warns and gives the attribute ``new``."""

    def read(self: Any) -> Any:
        value = getattr(self, new)
        warnings.warn(f"use {new}: embeddings is the word", FutureWarning, stacklevel=2)
        return value

    return property(read)


class TransformerBased(SavedEstimator, SeriesInput):
    """An estimator around a fitted transformer, ``transformer_``.

    Its folder holds the transformer's, named float64 arrays and a card. A subclass says what of
    its own is kept (``_state``) and takes it back (``_from_state``).
    """

    transformer_: Any

    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What was fitted, as JSON values and as named arrays."""
        raise NotImplementedError

    def _from_state(self, facts: dict[str, Any], arrays: Arrays) -> None:
        """Set what :meth:`_state` gave; ValueError, KeyError or TypeError when it does not fit."""
        raise NotImplementedError

    def _write_files(self, work: Path) -> dict[str, Any]:
        transformer = getattr(self.transformer_, "estimator", self.transformer_)
        if not isinstance(transformer, ContrastiveTransformer):
            name = type(transformer).__name__
            raise InputError("transformer", name, "only a ContrastiveTransformer can be saved")
        facts, arrays = self._state()
        transformer.save(work / PART)
        tensors = {k: torch.from_numpy(np.array(a, np.float64)) for k, a in arrays.items()}
        save_tensors(work / WEIGHTS, tensors)
        return {**facts, **input_facts(self), "sha256": sha256_of(work / WEIGHTS)}

    @classmethod
    def _read_files(cls, folder: Path, card: dict[str, Any]) -> Self:
        transformer, weights = load_transformer(folder / PART), folder / WEIGHTS
        if not weights.is_file() or sha256_of(weights) != card.get("sha256"):
            raise CheckpointError(weights.name, folder, "missing, damaged or cut short")
        arrays = {name: tensor.numpy() for name, tensor in load_tensors(weights).items()}
        with readable(folder):
            params = dict(card["params"])
            if "transformer" in cls._get_param_names():
                params["transformer"] = clone(transformer)
            model = cls(**params)
            model.transformer_ = transformer
            restore_inputs(model, card, transformer.n_channels_in_)
            model._from_state(card, arrays)
        return model


class StandardEmbeddings(TransformerBased):
    """Pooled embeddings of a transformer, standardised by those seen in ``fit``."""

    embedding_mean_: NDArray[np.float64]
    embedding_scale_: NDArray[np.float64]
    code_mean_ = earlier_name("embedding_mean_")
    code_scale_ = earlier_name("embedding_scale_")

    def _fit_embeddings(
        self, transformer: BaseEstimator, values: Float32, y: Any, **columns: Any
    ) -> NDArray[np.float64]:
        """Train a clone of ``transformer`` on (n, T, C); the standardised embeddings (n, D) of it.

        Ids and weights that are None are not passed on.
        """
        given = {name: value for name, value in columns.items() if value is not None}
        self.transformer_ = clone(transformer).fit(values, y, **given)
        embeddings = self.transformer_.pool(values).astype(np.float64)
        weights = given.get("sample_weight")
        shown = embeddings if weights is None else embeddings[weights > 0]
        deviation = shown.std(axis=0)
        self.embedding_mean_ = shown.mean(axis=0)
        # embeddings are float32: one that varies by less than their spacing holds only rounding
        spacing = np.spacing(np.abs(shown).max(axis=0).astype(np.float32))
        self.embedding_scale_ = np.where(deviation > spacing, deviation, 1.0)
        return np.asarray((embeddings - self.embedding_mean_) / self.embedding_scale_)

    def _embeddings(self, values: Float32) -> NDArray[np.float64]:
        """Standardised embeddings (n, D) of further series."""
        embeddings = self.transformer_.pool(values).astype(np.float64)
        return np.asarray((embeddings - self.embedding_mean_) / self.embedding_scale_)
