"""Checks of a container's fields: values, labels, ids, rates, channel names, columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from data_loaders.container.rows import Rows, RowView, narrow, unmasked
from tscl.errors import InputError

MAX_CLASSES = 100_000
FIXED = ("label", "patient", "trial", "sampling_rate")
LABEL = "label: "
"""Begins the columns of a table with several labels, such as ``label: MI``."""
RATE_TOLERANCE = 1e-9
"""Relative difference up to which two sampling rates are one."""


def as_ids(field: str, values: Any, n: int) -> np.ndarray:
    """Ids as (n,) int64 when all are whole numbers, otherwise as strings.

    Args:
        field: name of the ids, for the error.
        values: the ids.
        n: samples.

    Raises:
        InputError: wrong length, a missing id, or a number with a fraction.
    """
    array = np.asarray(values)
    if array.shape != (n,):
        raise InputError(field, f"shape {array.shape}", f"give {n} ids, one a sample")
    if array.dtype.kind == "O" or not isinstance(values, np.ndarray):
        missing = pd.isna(np.asarray(values, dtype=object))
        if missing.any():
            raise InputError(field, f"{int(missing.sum())} missing ids", "name every sample's")
    if array.dtype.kind == "u" and n and int(array.max()) > np.iinfo(np.int64).max:
        return array.astype(str)
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise InputError(field, "NaN or infinite ids", "name every sample's")
        if (array != np.round(array)).any() or (n and np.abs(array).max() >= 2**53):
            raise InputError(field, "numbers that are not whole", "use integers or strings")
        return array.astype(np.int64)
    if array.dtype.kind not in "UOS":
        raise InputError(field, f"dtype {array.dtype}", "use integers or strings")
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8")
    if array.dtype.kind == "O" and all(isinstance(value, int | np.integer) for value in array):
        numbers = np.asarray(array.tolist())
        return array.astype(str) if numbers.dtype.kind == "O" else as_ids(field, numbers, n)
    return np.asarray([str(value) for value in array.tolist()], dtype=str)


def check_trials(patient: np.ndarray, trial: np.ndarray, scope: str) -> np.ndarray:
    """Trial ids of which none spans two patients.

    Args:
        patient: (n,) ids.
        trial: (n,) ids.
        scope: ``"global"`` checks, ``"patient"`` makes ids ``patient/trial``; where two patients'
            ids would then be one (``a/b`` + ``c`` and ``a`` + ``b/c``), slashes of patients are
            written ``\\/``.

    Raises:
        InputError: a trial id of two patients under scope ``"global"``.
    """
    if scope == "patient":
        pairs = [(str(p), str(t)) for p, t in zip(patient.tolist(), trial.tolist(), strict=True)]
        joined = ["/".join(pair) for pair in pairs]
        if len(set(joined)) < len(set(pairs)):
            joined = [p.replace("\\", "\\\\").replace("/", "\\/") + f"/{t}" for p, t in pairs]
        return np.asarray(joined)
    if scope != "global":
        raise InputError("trial_scope", scope, "choose 'global' or 'patient'")
    codes = np.unique(trial, return_inverse=True)[1]
    owner = np.unique(patient, return_inverse=True)[1]
    first = np.full(codes.max() + 1, -1)
    first[codes[::-1]] = owner[::-1]
    shared = np.flatnonzero(first[codes] != owner)
    if len(shared):
        raise InputError(
            "trial",
            f"id {trial[shared[0]]} occurs under two patients",
            "make trial ids unique, or pass trial_scope='patient'",
        )
    return trial


def as_list(field: str, names: Iterable[Any]) -> list[Any]:
    """Names as a list; one text alone would be taken apart into its letters.

    Raises:
        InputError: a text, or what is no sequence.
    """
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise InputError(field, repr(names), f"give a list of names, such as [{names!r}]")
    return list(names)


def label_kind(label: np.ndarray) -> str:
    """``"classes"`` for (n,) codes, ``"multilabel"`` for (n, L), ``"target"`` for (n,) numbers."""
    return "multilabel" if label.ndim == 2 else "target" if label.dtype.kind == "f" else "classes"


def known_labels(label: np.ndarray) -> np.ndarray:
    """(n,) which samples have a label, of any kind; of several labels one is enough."""
    if label.ndim == 2:
        return np.asarray(~np.isnan(label).all(axis=1))
    return np.asarray(~np.isnan(label) if label.dtype.kind == "f" else label >= 0)


def count_labels(label: np.ndarray, names: Sequence[str] = (), mark: str = " ") -> str:
    """Samples of each class or label, or mean and deviation of a target, in words.

    Args:
        label: (n,) classes, (n, L) labels of 0, 1 and NaN, or (n,) numbers.
        names: of the classes or labels.
        mark: between a name and its number.
    """
    known = known_labels(label)
    kind = label_kind(label)
    if kind == "classes":
        codes, counts = np.unique(label, return_counts=True)
        called = [names[c] if 0 <= c < len(names) else str(c) for c in codes.tolist()]
        called = ["unlabelled" if c < 0 else word for c, word in zip(codes, called, strict=True)]
        return ", ".join(f"{word}{mark}{k}" for word, k in zip(called, counts, strict=True))
    lacking = int((~known).sum())
    if kind == "multilabel":
        counts = np.nansum(label, axis=0).astype(int)
        words = [f"{word}{mark}{k}" for word, k in zip(names, counts, strict=True)]
    else:
        given = label[known]
        words = [f"target {given.mean():.4g} +- {given.std():.3g}"] if len(given) else []
    return ", ".join([*words, *([f"unlabelled {lacking}"] if lacking else [])])


def as_labels(
    label: Any, names: Sequence[str] | None, n: int, kind: str | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels of one of the kinds of :func:`label_kind`, and the names of classes or labels.

    Missing labels (None, NaN, pandas' NA, an empty text, a masked value) are unknown.

    Args:
        label: (n,) class codes or names, (n, L) of 0, 1 and NaN, or (n,) numbers.
        names: names of the classes, or of the L labels (default: the columns of a frame).
        n: how many samples there are.
        kind: by default ``"multilabel"`` of two dimensions and otherwise ``"classes"``.

    Raises:
        InputError: wrong length, fractions, codes without a name, or an unknown name.
    """
    known = None if names is None else tuple(str(name) for name in as_list("label_names", names))
    if known is not None and len(set(known)) != len(known):
        raise InputError("label_names", known, "give different names")
    if np.ma.isMaskedArray(label):
        masked, label = np.ma.getmaskarray(label), np.asarray(label).astype(object)
        label[masked] = None
    if kind not in (None, "classes", "multilabel", "target"):
        raise InputError("label_kind", kind, "choose 'classes', 'multilabel' or 'target'")
    if label is not None and (kind == "multilabel" or (kind is None and np.ndim(label) == 2)):
        return _several(label, known, n)
    if label is not None and kind == "target":
        values = _real("label", label, (n,))
        return values, known or ()
    return _classes(label, known, n)


def _real(field: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers (float64) with NaN where missing, infinite ones refused."""
    try:
        frame = pd.DataFrame(np.asarray(values, object)).apply(pd.to_numeric)
        numbers: np.ndarray = frame.to_numpy(np.float64).reshape(shape)
    except (TypeError, ValueError) as error:
        raise InputError(field, error, f"give {shape} numbers, NaN where unknown") from None
    if np.isinf(numbers).any():
        raise InputError(field, "infinite values", "give finite numbers, NaN where unknown")
    return numbers


def _several(
    label: Any, known: tuple[str, ...] | None, n: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Several labels a sample: (n, L) float32 of 0, 1 and NaN, and their names."""
    if known is None and isinstance(label, pd.DataFrame):
        known = tuple(str(column) for column in label.columns)
    width = np.shape(label)[-1] if np.ndim(label) == 2 else 0
    known = known or tuple(str(i) for i in range(width))
    values = _real("label", label, (n, len(known)))
    if not np.isin(values[~np.isnan(values)], (0, 1)).all():
        raise InputError("label", "other values than 0, 1 and NaN", "give one column a label")
    return values.astype(np.float32), known


def _classes(
    label: Any, known: tuple[str, ...] | None, n: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class codes (n,) int64 with -1 for unknown, and the names of the codes."""
    if label is None:
        return np.full(n, -1, np.int64), known or ()
    array = np.asarray(label)
    if array.shape != (n,):
        raise InputError("label", f"shape {array.shape}", f"give {n} labels, one a sample")
    if array.dtype.kind == "U" and not isinstance(label, np.ndarray):
        array = np.asarray(label, dtype=object)  # a list's NaN is the text "nan" by now
    here = ~np.asarray(pd.isna(array))
    if array.dtype.kind == "O":
        kinds = {type(value) for value in array[here].tolist()}
        if here.any() and all(
            issubclass(kind, int | float | np.number | np.bool_) for kind in kinds
        ):
            return _coded(np.asarray(array[here].tolist()), here, known)
    if array.dtype.kind not in "UO":
        return _coded(array[here], here, known)
    texts = [str(value) if there else "" for value, there in zip(array.tolist(), here, strict=True)]
    known = known or tuple(sorted(set(texts) - {""}))
    code = {"": -1} | {name: i for i, name in enumerate(known)}
    unknown = sorted(set(texts) - set(code))
    if unknown:
        raise InputError("label", unknown, f"choose among label_names {known}")
    codes = [code[text] if there else -1 for text, there in zip(texts, here, strict=True)]
    return np.asarray(codes, np.int64), known


def _coded(
    given: np.ndarray, here: np.ndarray, known: tuple[str, ...] | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes given as numbers where ``here``, and -1 elsewhere."""
    whole = given.dtype.kind in "iub" or (
        given.dtype.kind == "f" and bool((np.abs(given) < 2**53).all() and (given % 1 == 0).all())
    )
    if not whole or not len(given):
        missing = int((~here).sum())
        value = f"dtype {given.dtype}" + (f" with {missing} missing values" if missing else "")
        remedy = (
            "give whole class codes or names, or label_kind='target'"
            if len(given)
            else "give None for no labels"
        )
        raise InputError("label", value, remedy)
    codes = np.full(len(here), -1, np.int64)
    codes[here] = given
    if codes.min() < -1:
        raise InputError("label", int(codes.min()), "number classes from 0; -1 means unknown")
    if known is None and codes.max() >= MAX_CLASSES:
        raise InputError("label", int(codes.max()), f"below {MAX_CLASSES}, or give label_names")
    if known is None:
        known = tuple(str(i) for i in range(int(codes.max()) + 1))
    if codes.max() >= len(known):
        raise InputError("label", int(codes.max()), f"label_names holds {len(known)} classes")
    return codes, known


def as_samples(X: Any) -> Rows:
    """``X`` (n, T, C) as float32, or float64 where float32 loses its differences.

    Raises:
        InputError: another rank, an empty axis, no real numbers, or an array on disk of another
            type than these two.
    """
    X = unmasked(X if isinstance(X, np.ndarray | RowView) else np.asarray(X))
    if X.ndim != 3 or 0 in X.shape:
        remedy = "give (n_samples, n_timesteps, n_channels), none of them 0"
        raise InputError("X", f"shape {X.shape}", remedy)
    if X.dtype.kind not in "fiub":
        raise InputError("X", f"dtype {X.dtype}", "give real numbers")
    if isinstance(X, np.memmap | RowView):
        if X.dtype not in (np.float32, np.float64):
            raise InputError("X", f"array on disk of {X.dtype}", "store it as float32")
        return X
    return narrow(X)


def as_rates(rate: Any, n: int, allow_mixed: bool) -> np.ndarray:
    """Sampling rates (n,) float64, positive and finite.

    Args:
        rate: one number of Hz, or (n,).
        n: samples.
        allow_mixed: leave rates as they are; else those that only differ by rounding are made
            equal.
    """
    rates = np.asarray(rate, np.float64)
    if rates.ndim == 0:
        rates = np.full(n, float(rates))
    if rates.shape != (n,):
        raise InputError("sampling_rate", f"shape {rates.shape}", f"give one number or {n}")
    if not (np.isfinite(rates) & (rates > 0)).all():
        raise InputError("sampling_rate", rates.min(), "give positive numbers of Hz")
    unique = np.unique(rates)
    if not allow_mixed and n and unique[-1] - unique[0] <= RATE_TOLERANCE * unique[-1]:
        return np.full(n, rates[0])
    if len(unique) > 1 and not allow_mixed:
        raise InputError(
            "sampling_rate",
            f"mixed rates {unique.tolist()}",
            "resample to one rate, or pass allow_mixed_rates=True",
        )
    return rates


def as_channels(names: Sequence[str] | None, n_channels: int) -> tuple[str, ...]:
    """Channel names, one a channel and all different."""
    if names is None:
        return tuple(f"ch{i}" for i in range(n_channels))
    channels = tuple(str(name) for name in as_list("channel_names", names))
    if len(channels) != n_channels or len(set(channels)) != n_channels:
        raise InputError("channel_names", channels, f"give {n_channels} different names")
    return channels


def as_columns(columns: Mapping[str, Any] | pd.DataFrame | None, n: int) -> pd.DataFrame:
    """Further columns as a frame of n rows numbered from 0."""
    if columns is None:
        return pd.DataFrame(index=pd.RangeIndex(n))
    given = {str(key): np.asarray(values) for key, values in columns.items()}
    for key, values in given.items():
        if key in FIXED or key.startswith(LABEL):
            raise InputError("columns", key, "this name is taken; choose another")
        if values.shape != (n,):
            raise InputError(f"columns[{key!r}]", f"shape {values.shape}", f"give {n}")
    return pd.DataFrame(given, index=pd.RangeIndex(n))
