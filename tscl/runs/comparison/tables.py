"""Tables that set runs side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tscl.runs.clinical.tables import compact_table
from tscl.runs.comparison.finished_runs import ComparedRun, but_for_the_seed
from tscl.runs.forecasting.report import label, shown
from tscl.runs.study.tables import summary

ALL = "all"
"""Run column of a row that is the same in every run, such as a baseline."""


def overview(runs: Sequence[ComparedRun]) -> pd.DataFrame:
    """One row a run: what it is and when it was made."""
    rows = []
    for run in runs:
        versions = run.started.get("versions", {})
        rows.append(
            {
                "run": run.label,
                "job": run.kind,
                "data": run.series,
                "method": run.method or "-",
                "encoder": run.config.get("encoder.name", "-"),
                "seed": run.config.get("seed", "-") if run.kind != "study" else "-",
                "started": str(run.started.get("started", "-"))[:16].replace("T", " "),
                "tscl": versions.get("tscl", "-"),
                "torch": versions.get("torch", "-"),
            }
        )
    return pd.DataFrame(rows)


def merged(
    runs: Sequence[ComparedRun], rows_of: Callable[[ComparedRun], pd.DataFrame], keys: Sequence[str]
) -> pd.DataFrame:
    """Rows of all runs with a ``run`` column; rows equal in every run are given once.

    Args:
        runs: two or more are merged, one is shown as it is.
        rows_of: the table of a run.
        keys: columns that identify a row of it.
    """
    tables = [rows_of(run) for run in runs]
    columns = list(dict.fromkeys(c for table in tables for c in table.columns))
    rows: dict[tuple[Any, ...], list[tuple[str, tuple[Any, ...]]]] = {}
    for run, table in zip(runs, tables, strict=True):
        for row in table.to_dict("records"):
            name = tuple(row[key] for key in keys)
            values = tuple(row.get(column) for column in columns)
            rows.setdefault(name, []).append((run.label, values))
    own, shared = [], []
    for held in rows.values():
        same = len(held) == len(runs) > 1 and all(_equal(held[0][1], row[1]) for row in held)
        if same:
            shared.append({"run": ALL, **dict(zip(columns, held[0][1], strict=True))})
        else:
            own += [{"run": name, **dict(zip(columns, v, strict=True))} for name, v in held]
    order = {run.label: number for number, run in enumerate(runs)}
    own.sort(key=lambda row: order[row["run"]])
    return pd.DataFrame(own + shared, columns=["run", *columns])


def _equal(values: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return all(
        a == b
        or (
            isinstance(a, float) and isinstance(b, float) and np.isclose(a, b, 1e-9, equal_nan=True)
        )
        for a, b in zip(values, other, strict=True)
    )


def by_horizon(run: ComparedRun, metric: str) -> pd.DataFrame:
    """One row a method of a forecasting run, one column a horizon, and their mean."""
    wide = run.table.pivot(index="method", columns="horizon", values=metric)
    wide = wide.loc[list(dict.fromkeys(run.table["method"]))]
    wide["mean"] = wide.mean(axis=1, skipna=False)
    wide.columns = [str(column) for column in wide.columns]
    wide.index = pd.Index([label(str(name)) for name in wide.index], name="method")
    return wide.reset_index()


def forecasting_table(runs: Sequence[ComparedRun], metric: str) -> pd.DataFrame:
    """Numbers of :func:`by_horizon` of all runs."""
    result = merged(runs, lambda run: by_horizon(run, metric), ["method"])
    last = [c for c in result.columns if c not in ("run", "method", "mean")]
    return result[["run", "method", *sorted(last, key=int), "mean"]]


def forecasting_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers as text, the best of each column with a star, ``-`` where there is none."""
    names = frame[["run", "method"]]
    values = shown(frame.drop(columns="run")).replace("nan", "-")
    return pd.concat((names[["run"]], values), axis=1)


def over_seeds(runs: Sequence[ComparedRun], metric: str) -> pd.DataFrame:
    """Mean ± standard deviation over runs that differ in the seed only; may be empty."""
    rows = []
    for group in but_for_the_seed(runs):
        tables = [by_horizon(run, metric).set_index("method") for run in group]
        names = " + ".join(run.label for run in group)
        for method in tables[0].index:
            values = pd.DataFrame([table.loc[method] for table in tables if method in table.index])
            if len(values) < 2 or float(values["mean"].std()) == 0.0:
                continue
            cells = {column: _spread(values[column]) for column in values.columns}
            rows.append({"runs": names, "method": method, "seeds": len(values), **cells})
    return pd.DataFrame(rows)


def _spread(values: pd.Series[float]) -> str:
    """``mean ± standard deviation`` with at least four decimals and three digits of the mean."""
    mean = float(values.mean())
    digits = max(4, 2 - math.floor(math.log10(mean))) if mean > 0 else 4
    return f"{mean:.{digits}f} ± {float(values.std()):.{digits}f}"


def clinical_table(runs: Sequence[ComparedRun], metric: str, level: str) -> pd.DataFrame:
    """Compact rows of all clinical runs; may be empty.

    Args:
        runs: that are compared.
        metric: score.
        level: ``sample``, ``trial`` or ``patient``.
    """
    result = merged(
        runs, lambda run: compact_table(run.table, metric, level), ["method", "protocol"]
    )
    return result.fillna("-")


def study_table(runs: Sequence[ComparedRun], metric: str) -> pd.DataFrame:
    """Mean and deviation over seeds of all studies' cells, by horizon."""

    def rows(run: ComparedRun) -> pd.DataFrame:
        frame = summary(run.table, metric)
        frame.columns = [str(column) for column in frame.columns]
        return frame

    result = merged(runs, rows, ["method"])
    return result.fillna("-").replace("", "-")
