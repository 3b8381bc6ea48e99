"""Several studies together: methods ranked over data sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tscl.errors import ConfigError, DataError, InputError, check_choice
from tscl.reporting.critical_difference import CriticalDifference, critical_difference
from tscl.reporting.document import Document
from tscl.runs.study.tables import score_table, summary, with_skill, write_ranks


def compare_studies(
    folders: Sequence[Path],
    out: Path,
    *,
    metric: str = "mse",
    per: Sequence[str] = ("dataset",),
    test: str = "wilcoxon_holm",
) -> tuple[CriticalDifference, Path]:
    """Rank the methods that every study has, and write a report.

    Args:
        folders: of finished studies or backtests, one a data set.
        out: folder of the report.
        metric: ``mse`` or ``mae``, in scaled units.
        per: what makes a case; see :func:`tscl.runs.study.tables.score_table`.
        test: of the pairs; see
            :func:`tscl.reporting.critical_difference.critical_difference`.

    Returns:
        The ranks, and the path of the page.

    Raises:
        DataError: a folder without a table, or two of one data set.
        ConfigError: unknown metric or test. InputError: too few common methods or cases.
    """
    check_choice("metric", metric, ("mse", "mae"), error=ConfigError)
    frames: dict[str, pd.DataFrame] = {}
    for folder in folders:
        path = next(
            (p for n in ("study", "backtest") if (p := folder / f"{n}.parquet").is_file()), None
        )
        if path is None:
            raise DataError("study", folder, "no study.parquet there: run tscl study first")
        frame = pd.read_parquet(path)
        name = str(frame["dataset"].iloc[0])
        if name in frames:
            raise DataError("dataset", name, f"{folder} holds the data set of another folder")
        frames[name] = frame
    together = pd.concat(frames.values(), ignore_index=True)
    table = score_table(together, metric, per)
    dropped = sorted(set(with_skill(together)["method"]) - set(table.columns))
    if min(table.shape) < 2:
        shape = f"{table.shape[0]} cases x {table.shape[1]} methods in all of them"
        raise InputError(
            "studies", shape, "ranks need two of each; left out: " + ", ".join(dropped)
        )
    check_choice("test", test, ("wilcoxon_holm", "nemenyi"), error=ConfigError)
    ranks = critical_difference(table, test=test)  # type: ignore[arg-type]
    document = Document(out, f"Methods over {len(frames)} data sets")
    write_ranks(document, ranks, per)
    if dropped:
        document.paragraph("Left out, without a figure in every case: " + ", ".join(dropped) + ".")
    for name, frame in frames.items():
        document.heading(f"{name}: test {metric.upper()} by horizon")
        document.table(summary(frame, metric), best="low")
    return ranks, document.write()[1]
