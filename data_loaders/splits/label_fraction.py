"""Choosing the share of the training labels that a classifier may see."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from data_loaders.splits.checks import classes_of, group_codes
from data_loaders.splits.leakage import ClinicalData, Index, table_of
from data_loaders.splits.patients import group_strata
from tscl.errors import InputError, check_choice
from tscl.seeding import numpy_generator


def label_fraction(
    table: pd.DataFrame | None,
    fraction: float,
    *,
    groups: ArrayLike | None = None,
    y: ArrayLike | None = None,
    by: str = "samples",
    stratified: bool = True,
    seed: int = 0,
) -> np.ndarray:
    """Positions of the samples whose labels are used.

    For one seed a smaller fraction is part of a larger one. Samples without a label are never
    chosen.

    Args:
        table: the table of the training samples; None with ``y`` (and ``groups``).
        fraction: share in (0, 1]; at least one sample or patient (of each class, stratified).
        groups: (n,) patient of each sample, in place of the table's column.
        y: (n,) classes or (n, L) labels of 0, 1 and NaN, in place of the table's.
        by: ``"samples"`` chooses samples (as the paper does, so 1 % still comes from most
            patients); ``"patients"`` chooses patients with all their samples (what a clinic that
            labels few patients has); ``"first"`` takes the first of all shuffled samples
            regardless of class, as COMET's public code does.
        stratified: choose within each class; a patient of several classes, or a sample of several
            labels, counts for the one that the fewest have, and within it each combination of
            labels gets its share. A number to predict is stratified by its fifths.
        seed: of the choice.

    Returns:
        Ascending positions, int64.

    Raises:
        InputError: a fraction outside (0, 1], an unknown ``by``, or no labelled sample.
    """
    if not 0 < fraction <= 1:
        raise InputError("fraction", fraction, "give a share above 0 and up to 1")
    check_choice("by", by, ("samples", "patients", "first"))
    if table is None and y is None:
        raise InputError("table", None, "give a table with labels, or y=")
    n = len(np.asarray(y)) if table is None else len(table)
    classes = classes_of(table, y, n)
    known = classes.code >= 0
    labelled = np.unique(classes.row[known])
    if not len(labelled):
        raise InputError("label", "no labelled sample", "give a table with labels")
    rng = numpy_generator(seed, "fraction")
    if by == "first":
        count = max(1, int(len(labelled) * fraction))
        return np.sort(rng.permutation(labelled)[:count])
    units = np.arange(len(labelled))
    if by == "patients":
        owner = group_codes(table, groups, "patient")[labelled]
        units = pd.factorize(owner)[0].astype(np.int64)
    owners = units[np.searchsorted(labelled, classes.row[known])]
    strata = group_strata(classes.code[known], owners)
    if not stratified:
        strata = np.zeros_like(strata)
    several = len(classes.row) > n
    chosen = np.zeros(len(strata), bool)
    for code in np.unique(strata):
        members = rng.permutation(np.flatnonzero(strata == code))
        if several and stratified:
            members = _by_combination(members, owners, classes.code[known])
        chosen[members[: max(1, round(len(members) * fraction))]] = True
    return labelled[chosen[units]]


def _by_combination(members: np.ndarray, owners: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Shuffled ``members`` in an order of which every beginning holds each combination's share."""
    sets: dict[int, set[int]] = {}
    for owner, code in zip(owners.tolist(), codes.tolist(), strict=True):
        sets.setdefault(owner, set()).add(code)
    keys = pd.Series([tuple(sorted(sets[member])) for member in members.tolist()])
    rank = keys.groupby(keys).cumcount() + 0.5
    share = rank / keys.groupby(keys).transform("size")
    return np.asarray(members[np.argsort(share.to_numpy(), kind="stable")])


def label_subset(
    data: ClinicalData, index: Index, fraction: float, *, by: str = "samples", seed: int = 0
) -> Index:
    """The labelled part of training samples, sorted; all of it for fraction 1.

    Stratified by class.

    Args:
        data: all samples.
        index: rows of the training samples.
        fraction: in (0, 1].
        by: of :func:`data_loaders.splits.label_fraction.label_fraction`.
        seed: of the draw.
    """
    rows = np.sort(np.asarray(index, dtype=np.int64))
    if fraction == 1:
        return rows
    kept: Index = label_fraction(table_of(data).iloc[rows], fraction, by=by, seed=seed)
    return rows[kept]
