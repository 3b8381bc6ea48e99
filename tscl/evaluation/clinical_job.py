"""One cell of a clinical evaluation: from a labelled part to predictions of the test part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from tscl.errors import InputError
from tscl.evaluation.clinical_split import ClinicalData, label_subset
from tscl.evaluation.code_classifiers import knn_proba, partial_proba
from tscl.evaluation.finetune import FineTuner
from tscl.evaluation.result_store import Cell
from tscl.pooling import pool_time
from tscl.seeding import seeded


def is_transformer(encoder: Any) -> bool:
    """True for objects that turn series into features with ``transform``, not torch modules."""
    return not isinstance(encoder, nn.Module) and hasattr(encoder, "transform")


def pooled_codes(
    encoder: nn.Module,
    X: Any,
    index: NDArray[np.int64] | None = None,
    *,
    pooling: str = "max",
    batch_size: int = 256,
) -> NDArray[np.float32]:
    """The encoder's output pooled over time, (n, k D), for X (n, T, C), or its rows ``index``.

    ``pooling`` as in :func:`tscl.pooling.pool_time`; the maximum is the paper's.

    Rows are read a batch at a time, so X may stay on disk.

    The encoder runs in eval mode without gradients and is left in the mode it was in.
    """
    was_training = encoder.training
    where = next((p.device for p in encoder.parameters()), torch.device("cpu"))
    rows = np.arange(len(X)) if index is None else index
    parts = []
    encoder.eval()
    try:
        with torch.no_grad():
            for start in range(0, len(rows), batch_size):
                x = np.asarray(X[rows[start : start + batch_size]], dtype=np.float32)
                codes: torch.Tensor = encoder(torch.from_numpy(x).to(where))
                parts.append(pool_time(codes.float(), pooling).cpu().numpy())
    finally:
        encoder.train(was_training)
    return np.concatenate(parts)


class Job:
    """Runs cells of one encoder and split, keeping codes between them.

    Args:
        encoder: module, factory of modules or transformer.
        dataset: X, label, patient, trial.
        parts: checked split.
        label: (n,) class codes.
        n_classes: columns of the predictions.
        settings: ``C``, ``n_neighbors``, ``finetune`` and ``pooling``.
    """

    def __init__(
        self,
        encoder: Any,
        dataset: ClinicalData,
        parts: dict[str, NDArray[np.int64]],
        label: NDArray[np.int64],
        n_classes: int,
        settings: dict[str, Any],
    ) -> None:
        self.encoder, self.dataset, self.parts = encoder, dataset, parts
        self.label, self.n_classes, self.settings = label, n_classes, settings
        self.fresh = not isinstance(encoder, nn.Module) and not is_transformer(encoder)
        self._codes: dict[int, dict[str, NDArray[Any]]] = {}
        self._repeat: dict[str, tuple[NDArray[Any], dict[str, Any]]] = {}

    def run(self, key: dict[str, Any]) -> Cell:
        """Train and test one configuration."""
        seed, protocol = key["seed"], key["protocol"]
        by = "samples" if key["by"] == "all" else key["by"]
        train = self.parts["train"]
        chosen = label_subset(self.dataset, train, key["fraction"], by=by, seed=seed)
        if protocol in ("full", "head"):
            proba, facts = self._finetune(chosen, key)
        elif key["fraction"] == 1 and not self.fresh:  # the same for every seed
            if protocol not in self._repeat:
                self._repeat[protocol] = self._on_codes(chosen, protocol, seed)
            proba, facts = self._repeat[protocol]
        else:
            proba, facts = self._on_codes(chosen, protocol, seed)
        test = self.parts["test"]
        patients = np.asarray(self.dataset.patient)
        trials = pd.factorize(np.asarray(self.dataset.trial))[0]
        facts = {
            **facts,
            "n_train_samples": len(chosen),
            "n_train_patients": len(np.unique(patients[chosen])),
            "n_train_classes": len(np.unique(self.label[chosen])),
        }
        arrays = {
            "y": self.label[test],
            "proba": proba.astype(np.float64),
            "patient": pd.factorize(patients)[0].astype(np.int64)[test],
            "trial": trials.astype(np.int64)[test],
        }
        return Cell(key, facts, arrays)

    def _on_codes(
        self, chosen: NDArray[np.int64], protocol: str, seed: int
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        codes = self._encoded(seed if self.fresh else 0)
        train = codes["train"][np.searchsorted(self.parts["train"], chosen)]
        y = self.label[chosen]
        if protocol == "knn":
            k = self.settings["n_neighbors"]
            return knn_proba(train, y, codes["test"], self.n_classes, k), {}
        valid = None
        if "valid" in codes:
            valid = codes["valid"], self.label[self.parts["valid"]]
        C = self.settings["C"]
        patients = np.asarray(self.dataset.patient)[chosen]
        proba, best = partial_proba(
            train, y, codes["test"], self.n_classes, C, valid, patients=patients
        )
        return proba, {"C": best}

    def _encoded(self, seed: int) -> dict[str, NDArray[Any]]:
        """Codes of every part; those of the last fresh encoders are kept too."""
        if seed not in self._codes:
            encoder: Any = self._module(seed) if self.fresh else self.encoder
            found = {}
            for name, index in self.parts.items():
                if is_transformer(encoder):
                    found[name] = np.asarray(encoder.transform(self.dataset.X[index]))
                else:
                    found[name] = pooled_codes(
                        encoder, self.dataset.X, index, pooling=self.settings["pooling"]
                    )
                if found[name].ndim != 2 or not np.isfinite(found[name]).all():
                    shape = found[name].shape
                    raise InputError(f"codes of {name}", shape, "need finite codes (n, F)")
            self._codes[seed] = found
        return self._codes[seed]

    def _module(self, seed: int) -> nn.Module:
        with seeded(seed, "fresh encoder"):
            module: nn.Module = self.encoder() if self.fresh else self.encoder
            return module

    def _finetune(
        self, chosen: NDArray[np.int64], key: dict[str, Any]
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        given = {
            "epochs": 50 if key["fraction"] == 1 else 100,
            "pooling": self.settings["pooling"],
            **self.settings["finetune"],
        }
        tuner = FineTuner(
            self._module(key["seed"]),  # type: ignore[arg-type]
            self.n_classes,
            seed=key["seed"],
            frozen=key["protocol"] == "head",
            **given,
        )
        valid = None
        if "valid" in self.parts:
            index = self.parts["valid"]
            valid = self.dataset.X[index], self.label[index]
        tuner.fit(self.dataset.X[chosen], self.label[chosen], valid)
        proba = tuner.predict_proba(self.dataset.X[self.parts["test"]])
        return proba, {"best_epoch": tuner.best_epoch_}
