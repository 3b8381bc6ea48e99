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
    if not pd.isna(weight := row.get("weight", float("nan"))):
        words.append(f"lambda {weight:g}")
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


def variable_columns(frame: pd.DataFrame, metric: str) -> list[str]:
    """Columns of the errors of single variables."""
    return [c for c in map(str, frame.columns) if c.startswith(f"{metric}.")]


def summary(frame: pd.DataFrame, metric: str = "mse") -> pd.DataFrame:
    """Mean and deviation over seeds of each method (rows) by horizon (columns).

    Methods without a figure are left out.
    """
    named = with_skill(frame).dropna(subset=[metric])

    def text_of(values: pd.Series[float]) -> str:
        mean, spread = float(values.mean()), float(values.std())
        text = f"{mean:.4g}" if abs(mean) < 1e4 else f"{mean:.0f}"
        if spread > 0:
            text += f" ± {spread:.2g}"
        return text if len(values) < 2 else f"{text} ({len(values)})"

    text = named.groupby(["method", "horizon"])[metric].agg(text_of)
    table: pd.DataFrame = text.unstack("horizon").fillna("").reset_index()
    return table


def _best(metric: str) -> Literal["high", "low"] | None:
    """Which end of a score is good; of shares, widths and costs none is by itself."""
    errors = ("mse", "mae", "mse_raw", "mae_raw", "mase")
    return "high" if metric == "skill" else "low" if metric in errors else None


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
    """Mean over seeds by horizon, one line a method, bars of one deviation over seeds.

    A method has the same colour for every metric; the legend begins with the best. Of one horizon
    each method is a point beside its name, the best on top.
    """
    rows = with_skill(frame)
    horizons = sorted(rows["horizon"].unique())
    names = sorted(rows["method"].unique())
    means = rows.groupby("method")[metric].mean().sort_values(ascending=metric != "skill")
    if len(horizons) == 1:
        return _dot_figure(rows, metric, list(means.index), names)
    figure = Figure(figsize=(7.2, 3.8))
    axes = figure.subplots()
    for name in means.index:
        i = names.index(name)
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


def _dot_figure(
    rows: pd.DataFrame, metric: str, order: Sequence[str], names: Sequence[str]
) -> Figure:
    figure = Figure(figsize=(6.4, 0.8 + 0.24 * len(order)))
    axes = figure.subplots()
    groups = rows.groupby("method")[metric]
    mean, spread = groups.mean(), groups.std().fillna(0.0)
    for place, name in enumerate(order):
        axes.errorbar(
            mean[name],
            place,
            xerr=spread[name],
            marker="o",
            ms=5,
            capsize=2,
            color=COLOURS[names.index(name) % len(COLOURS)],
        )
    axes.set_yticks(range(len(order)), order, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(METRICS.get(metric, metric).split(":")[0])
    axes.grid(axis="y", alpha=0.2)
    if metric == "skill":
        axes.axvline(0.0, color="#999999", lw=0.8, ls=":")
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
    cost: str = "",
) -> Path:
    """Write ``report.md`` and ``report.html`` with figures and tables; returns the page's path.

    One data set has too few horizons to rank over, so its cases are horizons x variables; the
    report says that such cases are not independent.

    Args:
        frame: one line a cell.
        folder: that ``report.md`` and ``report.html`` go to.
        title: of the report.
        over: what the deviations of the tables are taken over.
        cost: what the rows took, a sentence.
    """
    rows = with_skill(frame)
    document = Document(folder, title)
    known = [name for name in METRICS if name in rows and rows[name].notna().any()]
    if "mse" in known:
        document.paragraph(f"{_sentence(rows)} {cost}".strip())
    horizons = rows["horizon"].unique()
    where = "by horizon" if len(horizons) > 1 else f"{horizons[0]} steps ahead"
    for metric in ("mse", "skill"):
        if metric in known:
            figure = horizon_figure(rows, metric)
            document.figure(f"horizons_{metric}", figure, f"{METRICS[metric]}, {where}.")
    document.paragraph(
        f"Scaled units unless said otherwise; mean and standard deviation over {over} (their "
        "number); a star marks the best of each column. Original units average over variables of "
        f"different units where there are several.{_tested(rows)}"
    )
    for metric in known[:2]:
        document.heading(f"{METRICS[metric]} by horizon")
        document.table(summary(rows, metric), best=_best(metric))
    if known[2:]:
        document.heading("Further figures by horizon")
    for metric in known[2:]:
        document.subheading(METRICS[metric])
        table = summary(rows, metric)
        document.table(table, best=_best(metric), summary=f"{METRICS[metric]}: table")
    variables = variable_columns(rows, "mse")
    if 1 < len(variables) <= 12 and rows.get("dataset", pd.Series([0])).nunique() == 1:
        document.heading("Test MSE of every variable")
        for horizon in sorted(rows["horizon"].unique()):
            title = f"Test MSE of every variable, horizon {horizon}"
            document.subheading(title)
            document.table(by_variable(frame, horizon), best="low", summary=f"{title}: table")
    single = "dataset" not in rows or rows["dataset"].nunique() < 2
    cases = ("horizon", "variable") if single else ("dataset", "horizon")
    scores = score_table(frame, "mse", cases)
    if min(scores.shape) > 1:
        write_ranks(document, critical_difference(scores), cases)
    return document.write()[1]


def _tested(rows: pd.DataFrame) -> str:
    """How many windows a figure is over, by horizon; empty where that is not known."""
    if "n_test" not in rows:
        return ""
    most = rows.groupby("horizon")["n_test"].max().dropna()
    counts = ", ".join(f"{count:.0f} at {horizon}" for horizon, count in most.items())
    return f" Windows tested by horizon: {counts}."
