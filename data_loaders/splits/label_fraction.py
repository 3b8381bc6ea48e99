"""Choosing the share of the training labels that a classifier may see."""

from __future__ import annotations

import numpy as np
import pandas as pd

from data_loaders.splits.leakage import ClinicalData, Index, _table
from data_loaders.splits.patients import group_strata
from tscl.errors import InputError
from tscl.seeding import numpy_generator


def label_fraction(
    table: pd.DataFrame,
    fraction: float,
    *,
    by: str = "samples",
    stratified: bool = True,
    seed: int = 0,
) -> np.ndarray:
    """Positions of the samples whose labels are used.

    For one seed a smaller fraction is part of a larger one. Samples without a label are never
    chosen.

    Args:
        table: the table of the training samples.
        fraction: share in (0, 1]; at least one sample or patient (of each class, stratified).
        by: ``"samples"`` chooses samples (as the paper does, so 1 % still comes from most
            patients); ``"patients"`` chooses patients with all their samples (what a clinic that
            labels few patients has); ``"first"`` takes the first of all shuffled samples
            regardless of class, as COMET's public code does.
        stratified: choose within each class; a patient of several classes counts for the one
            that the fewest patients have.
        seed: of the choice.

    Returns:
        Ascending positions, int64.

    Raises:
        InputError: a fraction outside (0, 1], an unknown ``by``, or no labelled sample.
    """
    if not 0 < fraction <= 1:
        raise InputError("fraction", fraction, "give a share above 0 and up to 1")
    if by not in ("samples", "patients", "first"):
        raise InputError("by", by, "choose 'samples', 'patients' or 'first'")
    label = table["label"].to_numpy().astype(np.int64)
    labelled = np.flatnonzero(label >= 0)
    if not len(labelled):
        raise InputError("label", "no labelled sample", "give a table with labels")
    rng = numpy_generator(seed, "fraction")
    if by == "first":
        count = max(1, int(len(labelled) * fraction))
        return np.sort(rng.permutation(labelled)[:count])
    if by == "samples":
        units = np.arange(len(labelled))
        strata = label[labelled]
    else:
        units = pd.factorize(table["patient"].to_numpy()[labelled])[0].astype(np.int64)
        strata = group_strata(label[labelled], units)
    if not stratified:
        strata = np.zeros_like(strata)
    chosen = np.zeros(len(strata), bool)
    for code in np.unique(strata):
        members = rng.permutation(np.flatnonzero(strata == code))
        chosen[members[: max(1, round(len(members) * fraction))]] = True
    return labelled[chosen[units]]


def label_subset(
    data: ClinicalData, index: Index, fraction: float, *, by: str = "samples", seed: int = 0
) -> Index:
    """The labelled part of the training samples ``index``, sorted; all of it for fraction 1.

    Stratified by class; see :func:`data_loaders.splits.label_fraction.label_fraction` for ``by``.
    """
    pass  # own module

    rows = np.sort(np.asarray(index, dtype=np.int64))
    if fraction == 1:
        return rows
    kept: Index = label_fraction(_table(data).iloc[rows], fraction, by=by, seed=seed)
    return rows[kept]
