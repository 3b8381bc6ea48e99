"""Tables and figures of studies: errors by horizon, skill, variables, critical difference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pandas as pd
from matplotlib.figure import Figure

from tscl.errors import check_choice
from tscl.reporting.critical_difference import CriticalDifference, critical_difference
from tscl.reporting.document import Document, markdown_table
from tscl.runs.forecasting.figures import COLOURS

REFERENCE = "seasonal naive"
METRICS = {
    "mse": "Test MSE",
    "mae": "Test MAE",
    "mse_raw": "Test MSE in original units",
    "mae_raw": "Test MAE in original units",
    "skill": "Skill: 1 - MSE / MSE of the seasonal naive",
    "mase": "MASE: MAE over the mean change by a season in training",
    "coverage": "Share of the test part inside 90 % intervals",
    "width": "Width of the 90 % intervals",
    "seconds": "Processor seconds",
    "parameters": "Parameters",
}


def label(row: pd.Series) -> str:
    """What a row is called: backbone, and strategy, algorithm and lambda where there are any."""
    words = [str(row["backbone"])]
    if row["strategy"] not in ("baseline", "supervised"):
        words.append(str(row["strategy"]).replace("_", " "))
    if row["algorithm"] != "none":
        words.append(str(row["algorithm"]))
    if weight := format_weight(row.get("weight")):
        words.append(f"lambda {weight}")
    return ", ".join(words)


def with_skill(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with ``method`` (see :func:`label`) and, where the seasonal naive is there, skill.

    Skill is 1 - MSE / MSE of the seasonal naive on the same rows: 1 is perfect, 0 no better than
    the naive, below 0 worse.
    """
    table = frame.copy()
    table["method"] = [label(row) for _, row in table.iterrows()]
    keys = [k for k in ("dataset", "round", "horizon") if k in table]
    naive = table[table["backbone"] == REFERENCE].set_index(keys)["mse"]
    if len(naive):
        places = [tuple(v) if len(keys) > 1 else v[0] for v in table[keys].to_numpy().tolist()]
        table["skill"] = 1.0 - table["mse"] / [naive.get(p, float("nan")) for p in places]
    return table


def format_weight(weight: float | None) -> str:
    """Lambda as text; empty where there is none."""
    return "" if weight is None or pd.isna(weight) else f"{weight:g}"


def variable_columns(frame: pd.DataFrame, metric: str) -> list[str]:
    """Columns of the errors of single variables."""
    return [c for c in map(str, frame.columns) if c.startswith(f"{metric}.")]


def summary(frame: pd.DataFrame, metric: str = "mse") -> pd.DataFrame:
    """Mean and deviation over seeds of each configuration (rows) by horizon (columns)."""
    named = frame.assign(
        weight=[format_weight(w) for w in frame.get("weight", [None] * len(frame))]
    )
    groups = named.groupby(["backbone", "strategy", "algorithm", "weight", "horizon"])[metric]
    text = groups.agg(
        lambda v: f"{v.mean():.4g} ± {v.std():.2g} ({len(v)})" if len(v) > 1 else f"{v.mean():.4g}"
    )
    table: pd.DataFrame = text.unstack("horizon").fillna("").reset_index()
    return table


def _best(metric: str) -> Literal["high", "low"]:
    return "high" if metric == "skill" else "low"


def _sentence(rows: pd.DataFrame) -> str:
    """The method of the least test MSE at every horizon, mean over seeds."""
    means = rows.groupby(["horizon", "method"])["mse"].mean().reset_index()
    best = means.loc[means.groupby("horizon")["mse"].idxmin()]
    parts = [f"{line.method} at {line.horizon} ({line.mse:.4g})" for line in best.itertuples()]
    return f"Least mean test MSE by horizon in steps, scaled units: {', '.join(parts)}."


def by_variable(frame: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Mean MSE over seeds of every method (rows) and variable (columns) at one horizon."""
    rows = with_skill(frame[frame["horizon"] == horizon])
    columns = variable_columns(rows, "mse")
    table = rows.groupby("method", sort=False)[columns].mean()
    table.columns = [c.removeprefix("mse.") for c in columns]
    shown: pd.DataFrame = table.map(lambda v: f"{v:.4g}").reset_index()
    return shown


def score_table(
    frame: pd.DataFrame, metric: str = "mse", per: Sequence[str] = ("dataset", "horizon")
) -> pd.DataFrame:
    """Cases (rows) by methods (columns), means over seeds: what ranks are made of.

    Args:
        frame: one line a cell, as :meth:`Study.run` gives it.
        metric: column that is compared.
        per: what makes a case, of ``dataset``, ``horizon``, ``variable`` and ``round``; means
            are taken over what is left out. Methods without a figure in every case are dropped.

    Raises:
        InputError: an unknown part of a case.
    """
    known = ("dataset", "horizon", "variable", "round")
    for part in per:
        check_choice("per", part, known)
    rows = with_skill(frame)
    keys = [part for part in per if part != "variable" and part in rows]
    if "variable" in per:
        columns = variable_columns(rows, metric)
        rows = rows.melt([*keys, "method", "seed"], columns, "variable", "value")
        keys.append("variable")
        rows = rows.dropna(subset="value")
    else:
        rows = rows.rename(columns={metric: "value"}) if metric != "value" else rows
    table = rows.groupby([*keys, "method"])["value"].mean().unstack("method")
    return table.dropna(axis=1)


def write_ranks(document: Document, ranks: CriticalDifference, cases: Sequence[str]) -> None:
    """The section of ranks over cases.

    Args:
        document: to write in.
        ranks: over the cases.
        cases: what makes one, see :func:`score_table`.
    """
    document.heading("Critical difference")
    text = ranks.sentence()
    if tuple(cases) != ("dataset",):
        text = text.replace("data sets", f"cases ({' x '.join(cases)})")
        text += " The cases of one data set are not independent, so p-values are too small."
    document.figure("critical_difference", ranks.figure(), text)
    document.table(ranks.table())


def horizon_figure(frame: pd.DataFrame, metric: str = "mse") -> Figure:
    """Mean over seeds by horizon, one line a method, bars of one deviation over seeds."""
    rows = with_skill(frame)
    horizons = sorted(rows["horizon"].unique())
    figure = Figure(figsize=(7.2, 3.8))
    axes = figure.subplots()
    names = rows.groupby("method")[metric].mean().sort_values().index
    for i, name in enumerate(names):
        groups = rows[rows["method"] == name].groupby("horizon")[metric]
        mean, spread = groups.mean(), groups.std().fillna(0.0)
        axes.errorbar(
            [horizons.index(h) + 0.02 * (i - len(names) / 2) for h in mean.index],
            mean.to_numpy(),
            yerr=spread.to_numpy(),
            marker="osD^vP*X"[i // len(COLOURS) % 8],
            ms=4,
            lw=1.3,
            capsize=2,
            color=COLOURS[i % len(COLOURS)],
            label=name,
        )
    axes.set_xticks(range(len(horizons)), [str(h) for h in horizons])
    axes.set_xlabel("horizon (steps)")
    axes.set_ylabel(METRICS.get(metric, metric).split(":")[0])
    if metric == "skill":
        axes.axhline(0.0, color="#999999", lw=0.8, ls=":")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def markdown(frame: pd.DataFrame, over: str = "seeds") -> str:
    """Tables as markdown; deviations are ``over`` seeds, or whatever else varies."""
    rows = with_skill(frame)
    parts = []
    for metric, title in METRICS.items():
        if metric in rows and rows[metric].notna().any():
            head = f"## {title} by horizon, mean ± deviation ({over})\n\n"
            parts.append(head + markdown_table(summary(rows, metric)) + "\n")
    return "\n".join(parts)


def write_report(
    frame: pd.DataFrame,
    folder: Path,
    title: str,
    *,
    over: str = "seeds",
) -> Path:
    """Write ``report.md`` and ``report.html`` with tables and figures; returns the page's path.

    One data set has too few horizons to rank over, so its cases are horizons x variables; the
    report says that such cases are not independent.

    Args:
        frame: one line a cell.
        folder: that ``report.md`` and ``report.html`` go to.
        title: of the report.
        over: what the deviations of the tables are taken over.
    """
    rows = with_skill(frame)
    document = Document(folder, title)
    if "mse" in rows and rows["mse"].notna().any():
        document.paragraph(_sentence(rows))
    document.paragraph(
        f"Scaled units unless said otherwise; mean and standard deviation over {over} (their "
        "number); a star marks the best of each column. Original units average over variables of "
        "different units where there are several."
    )
    for metric, name in METRICS.items():
        if metric not in rows or not rows[metric].notna().any():
            continue
        document.heading(f"{name} by horizon")
        document.table(summary(rows, metric), names=4, best=_best(metric))
        if metric in ("mse", "skill"):
            document.figure(f"horizons_{metric}", horizon_figure(rows, metric), name)
    variables = variable_columns(rows, "mse")
    if 1 < len(variables) <= 12 and rows.get("dataset", pd.Series([0])).nunique() == 1:
        for horizon in sorted(rows["horizon"].unique()):
            document.heading(f"Test MSE of every variable, horizon {horizon}")
            document.table(by_variable(frame, horizon), best="low")
    single = "dataset" not in rows or rows["dataset"].nunique() < 2
    cases = ("horizon", "variable") if single else ("dataset", "horizon")
    scores = score_table(frame, "mse", cases)
    if min(scores.shape) > 1:
        write_ranks(document, critical_difference(scores), cases)
    return document.write()[1]
