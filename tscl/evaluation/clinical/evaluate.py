"""Evaluation of an encoder on patients never seen, by protocol, label fraction and seed.

The protocols of COMET (arXiv 2310.14017, section 5.1). Every method, the random encoder, training
from scratch and band power go through :func:`evaluate_cells`, so all give the same rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from data_loaders.container.fields import label_kind
from data_loaders.splits.label_fraction import label_subset
from data_loaders.splits.leakage import ClinicalData, check_split
from tscl.errors import InputError, check_choice
from tscl.evaluation.clinical.bandpower import BandPower
from tscl.evaluation.clinical.core_tuning import build_tuner, check_tuning
from tscl.evaluation.probes.any_label import Nearest, apply_probe, fit_probe
from tscl.pooling import check_pooling, pool_time
from tscl.saving.cells import Cell, ResultStore
from tscl.seeding import seeded


def is_transformer(encoder: Any) -> bool:
    """True for objects that turn series into features with ``transform``, not torch modules."""
    return not isinstance(encoder, nn.Module) and hasattr(encoder, "transform")


def pooled_embeddings(
    encoder: nn.Module,
    X: Any,
    index: NDArray[np.int64] | None = None,
    *,
    pooling: str = "max",
    batch_size: int = 256,
) -> NDArray[np.float32]:
    """The encoder's output pooled over time, (n, k D).

    Rows are read a batch at a time, so X may stay on disk. The encoder runs in eval mode without
    gradients and is left in the mode it was in.

    Args:
        encoder: (B, T, C) to (B, T', D).
        X: (n, T, C) series.
        index: rows to encode, None for all.
        pooling: of :func:`tscl.pooling.pool_time`; the maximum is the paper's.
        batch_size: rows at a time.
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
                embeddings: torch.Tensor = encoder(torch.from_numpy(x).to(where))
                parts.append(pool_time(embeddings.float(), pooling).cpu().numpy())
    finally:
        encoder.train(was_training)
    return np.concatenate(parts)


Predicted = tuple[NDArray[Any], dict[str, Any], NDArray[Any] | None]
"""Probabilities of the test part, facts, and probabilities of the validation part."""


class Job:
    """Runs cells of one encoder and split, keeping embeddings between them.

    Args:
        encoder: module, factory of modules or transformer.
        dataset: X, label, patient, trial.
        parts: checked split.
        label: (n,) class codes, (n, L) labels of 0, 1 and NaN, or (n,) numbers.
        n_outputs: columns of the predictions.
        settings: ``C``, ``n_neighbors``, ``finetune``, ``pooling``, and ``tuned``: ``finetune`` by
            share of the labels where that has its own.
        on_fitted: see :func:`evaluate_cells`.
    """

    def __init__(
        self,
        encoder: Any,
        dataset: ClinicalData,
        parts: dict[str, NDArray[np.int64]],
        label: NDArray[Any],
        n_outputs: int,
        settings: dict[str, Any],
        on_fitted: OnFitted | None = None,
    ) -> None:
        self.encoder, self.dataset, self.parts = encoder, dataset, parts
        self.label, self.n_outputs, self.settings = label, n_outputs, settings
        self.fresh = not isinstance(encoder, nn.Module) and not is_transformer(encoder)
        self.on_fitted = on_fitted
        self._embeddings: dict[int, dict[str, NDArray[Any]]] = {}
        self._repeat: dict[str, Predicted] = {}

    def run(self, key: dict[str, Any]) -> Cell:
        """Train and test one configuration."""
        seed, protocol = key["seed"], key["protocol"]
        by = "samples" if key["by"] == "all" else key["by"]
        train = self.parts["train"]
        chosen = label_subset(self.dataset, train, key["fraction"], by=by, seed=seed)
        if protocol in ("full", "head"):
            proba, facts, held = self._finetune(chosen, key)
        elif key["fraction"] == 1 and not self.fresh:  # the same for every seed
            if protocol not in self._repeat:
                self._repeat[protocol] = self._on_embeddings(chosen, key)
            proba, facts, held = self._repeat[protocol]
        else:
            proba, facts, held = self._on_embeddings(chosen, key)
        test = self.parts["test"]
        patients = np.asarray(self.dataset.patient)
        trials = pd.factorize(np.asarray(self.dataset.trial))[0]
        facts = {
            **facts,
            "n_train_samples": len(chosen),
            "n_train_patients": len(np.unique(patients[chosen])),
            "n_train_classes": len(np.unique(self.label[chosen])),
        }
        if label_kind(self.label) == "multilabel":
            facts["labels"] = list(getattr(self.dataset, "label_names", ()))
        arrays = {
            "y": self.label[test],
            "proba": proba.astype(np.float64),
            "patient": pd.factorize(patients)[0].astype(np.int64)[test],
            "trial": trials.astype(np.int64)[test],
        }
        if held is not None:  # what thresholds are chosen by
            valid = self.parts["valid"]
            arrays |= {"valid_y": self.label[valid], "valid_proba": held.astype(np.float64)}
            arrays["valid_patient"] = pd.factorize(patients)[0].astype(np.int64)[valid]
        return Cell(key, facts, arrays)

    def _on_embeddings(self, chosen: NDArray[np.int64], key: dict[str, Any]) -> Predicted:
        seed = key["seed"]
        embeddings = self._encoded(seed if self.fresh else 0)
        train = embeddings["train"][np.searchsorted(self.parts["train"], chosen)]
        y = self.label[chosen]
        if key["protocol"] == "knn":
            nearest = Nearest(train, y, self.n_outputs, self.settings["n_neighbors"])
            self._tell(key, nearest)
            proba = {
                name: nearest.predict(embeddings[name])
                for name in ("test", "valid")
                if name in embeddings
            }
            return proba["test"], {}, proba.get("valid")
        valid = None
        if "valid" in embeddings:
            valid = embeddings["valid"], self.label[self.parts["valid"]]
        model, facts = fit_probe(
            train,
            y,
            self.settings["C"],
            valid,
            patients=np.asarray(self.dataset.patient)[chosen],
            one_vs_rest=self.settings.get("one_vs_rest", False),
            class_weight=self.settings.get("class_weight"),
        )
        self._tell(key, model)
        held = None
        if valid is not None:
            held = apply_probe(model, valid[0], self.n_outputs)
        return apply_probe(model, embeddings["test"], self.n_outputs), facts, held

    def _tell(self, key: dict[str, Any], model: Any) -> None:
        if self.on_fitted is not None:
            encoder = self._module(key["seed"]) if self.fresh else self.encoder
            self.on_fitted(key, encoder, model)

    def _encoded(self, seed: int) -> dict[str, NDArray[Any]]:
        """Embeddings of every part; those of the last fresh encoders are kept too."""
        if seed not in self._embeddings:
            encoder: Any = self._module(seed) if self.fresh else self.encoder
            embeddings = {}
            for name, index in self.parts.items():
                if is_transformer(encoder):
                    embeddings[name] = np.asarray(encoder.transform(self.dataset.X[index]))
                else:
                    embeddings[name] = pooled_embeddings(
                        encoder, self.dataset.X, index, pooling=self.settings["pooling"]
                    )
                if embeddings[name].ndim != 2 or not np.isfinite(embeddings[name]).all():
                    shape = embeddings[name].shape
                    raise InputError(
                        f"embeddings of {name}", shape, "need finite embeddings (n, F)"
                    )
            self._embeddings[seed] = embeddings
        return self._embeddings[seed]

    def _module(self, seed: int) -> nn.Module:
        with seeded(seed, "fresh encoder"):
            module: nn.Module = self.encoder() if self.fresh else self.encoder
            return module

    def _finetune(self, chosen: NDArray[np.int64], key: dict[str, Any]) -> Predicted:
        given = {
            "epochs": 50 if key["fraction"] == 1 else 100,
            "pooling": self.settings["pooling"],
            **self.settings["tuned"].get(key["fraction"], self.settings["finetune"]),
        }
        if key["protocol"] == "head":
            given["frozen"] = True
        given |= tuning_of(self.label, self.settings.get("class_weight"))
        tuner = build_tuner(
            self._module(key["seed"]), self.n_outputs, **{**given, "seed": key["seed"]}
        )
        valid = None
        if "valid" in self.parts:
            index = self.parts["valid"]
            valid = self.dataset.X[index], self.label[index]
        tuner.fit(self.dataset.X[chosen], self.label[chosen], valid)
        if self.on_fitted is not None:
            self.on_fitted(key, None, tuner)
        proba = tuner.predict_proba(self.dataset.X[self.parts["test"]])
        held = None if valid is None else tuner.predict_proba(valid[0])
        return proba, {"best_epoch": tuner.best_epoch_}, held


def tuning_of(label: NDArray[Any], class_weight: str | None) -> dict[str, Any]:
    """What fine-tuning has to know of the labels, where they are no plain classes."""
    kind = label_kind(label)
    given = {} if kind == "classes" else {"kind": kind}
    return given if class_weight is None else {**given, "class_weight": class_weight}


PROTOCOLS: tuple[str, ...] = ("partial", "knn", "head", "full")
Factory = Callable[[], nn.Module]
OnFitted = Callable[[dict[str, Any], Any, Any], None]
"""Called with a cell's key, its encoder, and the fitted probe, neighbours or fine-tuner."""


def evaluate_cells(
    encoder: Any,
    dataset: ClinicalData,
    split: Mapping[str, ArrayLike],
    *,
    method: str = "encoder",
    protocols: Sequence[str] = ("partial", "full", "knn"),
    fractions: Sequence[float] = (1.0, 0.1, 0.01),
    by: str | Sequence[str] = "samples",
    seeds: Iterable[int] = range(5),
    fold: int | str = 0,
    data_name: str | None = None,
    C: float | Sequence[float] = 1.0,
    n_neighbors: int = 5,
    finetune: Mapping[str, Any] | None = None,
    epochs: Mapping[float, int] | None = None,
    pooling: str = "max",
    one_vs_rest: bool = False,
    class_weight: str | None = None,
    store: ResultStore | None = None,
    on_cell: Callable[[Cell], None] | None = None,
    on_fitted: OnFitted | None = None,
) -> list[Cell]:
    """Train on each labelled part, predict the test part; one cell a configuration.

    Each part is encoded once and used for all fractions and seeds. Cells the store already holds
    are not computed again; a change of the data, the split, the settings or the encoder's
    weights makes other cells.

    Args:
        encoder: what gives the embeddings: a torch module (B, T, C) -> (B, T, D); or a function
            without arguments that returns a fresh one (called under each seed: the random
            encoder, or training from scratch); or an object with ``transform(X) -> (n, F)``.
        dataset: X, label, patient and trial of all samples. Labels may be classes, several a
            sample or numbers, see :mod:`tscl.evaluation.metrics.labels`.
        split: ``train``, ``test`` and, where wanted, ``valid`` indices; no patient in two.
        method: name of the rows.
        protocols: ``partial``: logistic regression on standardised frozen embeddings; ``knn``:
            standardised embeddings and distance-weighted neighbours; ``head``: the
            two-layer head on the frozen encoder; ``full``: encoder and head trained together.
        fractions: shares of the training labels; the validation part is always whole.
        by: ``samples``, ``patients`` (or ``first``, as the public code draws) or several of
            them: what a share is a share of. With all labels they
            are one, and the cell's ``by`` is ``all``.
        seeds: seeds of the labelled part, of fine-tuning and of a fresh encoder.
        fold: name of the split, when several splits of the same data are pooled later.
        data_name: name of the data; the data set's ``name`` by default.
        C: inverse regularisation of the logistic regression; of several the one with the best
            macro F1 on the validation part is taken, or, where the split has none, over folds of
            the labelled patients.
        n_neighbors: neighbours, at most the number of labelled samples.
        finetune: settings of :func:`tscl.evaluation.clinical.core_tuning.build_tuner`, such as
            ``{"name": "core", "lr": 1e-3}``; epochs are 50 with all labels and 100 with less unless
            given.
        epochs: of fine-tuning by fraction, in place of ``finetune``'s.
        pooling: how embeddings of all steps become one vector (:func:`tscl.pooling.pool_time`), for
            frozen and fine-tuned encoders alike; ``max`` is the paper's.
        one_vs_rest: a logistic regression a class, see
            :func:`tscl.evaluation.probes.classifiers.fit_partial`.
        class_weight: ``balanced`` weighs samples by 1 over the share of their class, in probes and
            in training on labels; not of neighbours.
        store: where finished cells are kept.
        on_cell: called with every cell, finished now or before.
        on_fitted: called with the key of every cell computed now, its encoder (None of a
            fine-tuned one) and the fitted probe, neighbours or :class:`FineTuner`; once for seeds
            that give the same.

    Raises:
        LeakageError: a patient or trial in two parts of the split.
        InputError: anything else that does not fit; ``full`` or ``head`` without a torch module.
    """
    parts = check_split(dataset, split)
    check_pooling(pooling)
    settings: dict[str, Any] = {
        "C": _plain(C),
        "n_neighbors": n_neighbors,
        "finetune": dict(finetune or {}),
        "pooling": pooling,
    }
    if one_vs_rest:  # a new key would change the digests of cells finished before
        settings["one_vs_rest"] = True
    if class_weight is not None:
        settings["class_weight"] = class_weight
    _check_choices(encoder, protocols, fractions)
    label = np.asarray(dataset.label)
    kind = label_kind(label)
    tuning = tuning_of(label, class_weight) if {"full", "head"} & set(protocols) else {}
    check_tuning(settings["finetune"], protocols, tuning)
    store = ResultStore() if store is None else store
    n_outputs = 1 if kind == "target" else label.shape[-1]
    if kind == "classes":
        label = label.astype(np.int64)
        n_outputs = max(2, len(getattr(dataset, "label_names", ())), int(label.max()) + 1)
    tuned = {share: {**settings["finetune"], "epochs": n} for share, n in (epochs or {}).items()}
    digests = {
        share: _digest(encoder, dataset, parts, settings | {"finetune": tuned[share]})
        for share in tuned
    }
    rest = _digest(encoder, dataset, parts, settings)
    job = Job(encoder, dataset, parts, label, n_outputs, settings | {"tuned": tuned}, on_fitted)
    seeds = list(seeds)
    ways = [by] if isinstance(by, str) else list(by)
    cells = []
    for fraction in fractions:
        for how in ["all"] if fraction == 1 else ways:
            for protocol in protocols:
                for seed in seeds:
                    key = {
                        "data": data_name or str(getattr(dataset, "name", "data")),
                        "method": method,
                        "protocol": protocol,
                        "fraction": float(fraction),
                        "by": how,
                        "seed": int(seed),
                        "fold": fold,
                        "digest": digests.get(fraction, rest),
                    }
                    if key not in store:
                        store.add(job.run(key))
                    cells.append(store.get(key))
                    if on_cell is not None:
                        on_cell(cells[-1])
    return cells


def evaluate_with_baselines(
    encoders: Mapping[str, nn.Module],
    dataset: ClinicalData,
    split: Mapping[str, ArrayLike],
    *,
    fresh: Factory,
    bands: str | Mapping[str, tuple[float, float]] | None = "log",
    protocols: Sequence[str] = ("partial", "full", "knn"),
    **settings: Any,
) -> list[Cell]:
    """Cells of pretrained encoders and, beside them, of every baseline.

    Baselines: ``random encoder`` (a fresh one a seed; the frozen protocols), ``supervised`` (a
    fresh one a seed, trained on the labels; ``full``), ``band power`` (``partial``, ``knn``).

    Args:
        encoders: pretrained encoders by name.
        dataset: see :func:`evaluate_cells`.
        split: see :func:`evaluate_cells`.
        fresh: returns a newly initialised encoder.
        bands: see :class:`tscl.evaluation.clinical.bandpower.BandPower`; None leaves band power
            out.
        protocols: see :func:`evaluate_cells`.
        settings: further settings of :func:`evaluate_cells`.
    """
    frozen = [p for p in protocols if p != "full"]
    on_embeddings = [p for p in frozen if p != "head"]
    cells = []
    for name, encoder in encoders.items():
        cells += evaluate_cells(
            encoder, dataset, split, method=name, protocols=protocols, **settings
        )
    if frozen:
        cells += evaluate_cells(
            fresh, dataset, split, method="random encoder", protocols=frozen, **settings
        )
    if "full" in protocols:
        cells += evaluate_cells(
            fresh, dataset, split, method="supervised", protocols=["full"], **settings
        )
    if bands is not None and on_embeddings:
        rates = np.unique(np.asarray(getattr(dataset, "sampling_rate", np.nan)))
        if len(rates) != 1 or not np.isfinite(rates[0]):
            raise InputError("sampling_rate", rates.tolist(), "one rate is needed for band power")
        features = BandPower(float(rates[0]), bands)
        cells += evaluate_cells(
            features, dataset, split, method="band power", protocols=on_embeddings, **settings
        )
    return cells


def _plain(C: float | Sequence[float]) -> float | list[float]:
    return float(C) if isinstance(C, int | float) else [float(c) for c in C]


def _check_choices(
    encoder: Any,
    protocols: Sequence[str],
    fractions: Sequence[float],
) -> None:
    for protocol in protocols:
        check_choice("protocols", protocol, PROTOCOLS)
        if protocol in ("full", "head") and is_transformer(encoder):
            raise InputError("protocols", protocol, "fine-tuning needs a torch encoder")
    if not protocols or not len(fractions):
        raise InputError("protocols, fractions", "none", "choose at least one of each")
    if not (is_transformer(encoder) or callable(encoder)):
        kind = type(encoder).__name__
        raise InputError("encoder", kind, "pass a torch module, a factory or a transformer")


def _digest(
    encoder: Any,
    dataset: ClinicalData,
    parts: dict[str, NDArray[np.int64]],
    settings: dict[str, Any],
) -> str:
    """Sixteen hex digits of everything the predictions depend on besides the key."""
    sha = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    some = np.unique(np.linspace(0, len(dataset.label) - 1, 64).astype(np.int64))
    patients = pd.factorize(np.asarray(dataset.patient))[0].astype(np.int64)
    pieces = [dataset.X[some], dataset.label, patients]
    for piece in [*pieces, *parts.values()]:
        array = np.ascontiguousarray(piece)
        sha.update(str(array.shape).encode() + array.tobytes())
    if is_transformer(encoder):
        sha.update(repr(encoder).encode())
        return sha.hexdigest()[:16]
    module = encoder
    if not isinstance(encoder, nn.Module):
        with seeded(0, "fresh encoder"):
            module = encoder()
    for name, value in module.state_dict().items():
        sha.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]
