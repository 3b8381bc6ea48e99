"""Tables of a suite from its finished cells, written between the marks of a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tscl.disk import write_text

CLOSE = 1.02
LIBRARY = ("AutoTCL", "TS2Vec", "untrained encoder", "end to end", "no encoder, same head")
# its network is stopped by the held-out windows, so its error on them is too low to choose by
STOPPED = ("end to end",)
PLAIN = (
    "gradient boosting on lags",
    "ridge on lags",
    "DLinear",
    "NLinear",
    "AutoETS",
    "AutoTheta",
    "N-HITS",
    "PatchTST",
    "seasonal naive",
)


def frame_of(cells: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One row a data set, horizon and method: means over seeds, deviation of the test MSE."""
    rows = [
        {
            "dataset": cell["dataset"],
            "horizon": int(horizon),
            "row": cell["row"],
            "valid": result["valid_mse"],
            "mse": result["mse"],
            "mae": result["mae"],
            "seconds": cell["seconds"] / len(cell["horizons"]),
            "place": place,
        }
        for cell in cells
        for place, (horizon, result) in enumerate(
            sorted(cell["horizons"].items(), key=lambda pair: int(pair[0]))
        )
    ]
    keys = ["dataset", "horizon", "place", "row"]
    return (
        pd.DataFrame(rows)
        .groupby(keys, sort=False)
        .agg(
            valid=("valid", "mean"),
            mse=("mse", "mean"),
            deviation=("mse", lambda x: x.std(ddof=0)),
            mae=("mae", "mean"),
            seconds=("seconds", "mean"),
            seeds=("mse", "size"),
        )
        .reset_index()
    )


def verdicts(frame: pd.DataFrame) -> pd.DataFrame:
    """By data set and horizon: the library's row that validation chooses beside the plain rows."""
    rows = []
    for (dataset, horizon), case in frame.groupby(["dataset", "horizon"], sort=False):
        mse = case.set_index("row")["mse"]
        own = case[case["row"].isin(LIBRARY) & ~case["row"].isin(STOPPED)].set_index("row")
        plain = mse[mse.index.isin(PLAIN)]
        if own.empty or plain.empty:
            continue
        chosen = str(own["valid"].idxmin())
        rows.append(
            {
                "data": dataset,
                "horizon": horizon,
                "chosen by validation": chosen,
                "its MSE": mse[chosen],
                "best plain row": plain.idxmin(),
                "MSE of that": plain.min(),
                "ratio": mse[chosen] / plain.min(),
                "best row of all": mse.idxmin(),
                "ratio to all": mse[chosen] / mse.min(),
                "ratio to seasonal naive": mse[chosen] / mse.get("seasonal naive", np.nan),
            }
        )
    return pd.DataFrame(rows)


def by_row(frame: pd.DataFrame) -> pd.DataFrame:
    """Each row alone over all cases, beside the best plain row of each case in hindsight.

    Columns: the geometric mean of the ratio of their errors, cases within 2 % of the best of both,
    and the largest ratio. A row counts where it has all cases.
    """
    wide = frame.pivot_table(index=["dataset", "horizon"], columns="row", values="mse")
    names = [row for row in (*LIBRARY, *PLAIN) if row in wide and wide[row].notna().all()]
    plain = wide[[row for row in PLAIN if row in wide]].min(axis=1)
    ratios = wide[names].div(plain, axis=0)
    table = {
        "ratio, geometric mean": np.exp(np.log(ratios).mean()),
        "within 2 %": (ratios <= CLOSE).sum(),
        "largest ratio": ratios.max(),
    }
    return pd.DataFrame(table).rename_axis("row").reset_index()


def summary(table: pd.DataFrame) -> str:
    """The counts the suite was made for."""
    n = len(table)
    plain, every = ((table[name] <= CLOSE).sum() for name in ("ratio", "ratio to all"))
    behind = table[table["ratio to seasonal naive"] > 1]
    cases = ", ".join(
        f"{data} at {horizon}"
        for data, horizon in zip(behind["data"], behind["horizon"], strict=True)
    )
    return (
        f"The library's row that validation chooses is first or within 2 % of the first in {plain} "
        f"of {n} cases among the plain rows and itself, in {every} of {n} among all rows. "
        f"It is behind the seasonal naive {'nowhere' if behind.empty else 'at ' + cases}."
    )


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def marks(part: str | None = None) -> tuple[str, str]:
    """Before and after the tables of a page's part."""
    name = "suite" if part is None else f"{part} suite"
    return f"<!-- {name}: written from finished cells -->", f"<!-- end {name} -->"


def write_tables(cells: Sequence[dict[str, Any]], page: Path, part: str | None = None) -> None:
    """Replace what stands between the marks of ``page``, or of a part of it."""
    frame = frame_of(cells)
    table = verdicts(frame)
    blocks = [summary(table), _markdown(table)]
    blocks += ["Each row by itself, as a ratio to the best plain row of a case in hindsight:"]
    blocks.append(_markdown(by_row(frame)))
    for place, title in enumerate(("shorter", "longer")):
        cases = frame[frame["place"] == place].assign(
            case=lambda f: f["dataset"] + " " + f["horizon"].astype(str)
        )
        wide = cases.pivot_table(index="row", columns="case", values="mse", sort=False)
        wide = wide.reindex([r for r in (*LIBRARY, *PLAIN) if r in wide.index])
        blocks.append(f"Test MSE, the {title} horizon:")
        blocks.append(_markdown(wide.rename_axis("row", axis=0).reset_index()))
    seconds = frame.groupby("row")["seconds"].agg(["median", "max"])
    seconds = seconds.reindex([r for r in (*LIBRARY, *PLAIN) if r in seconds.index])
    blocks.append("Seconds of processor for a horizon, training, choice and test together:")
    blocks.append(_markdown(seconds.reset_index()))
    start, end = marks(part)
    before, _, rest = page.read_text().partition(start)
    _, _, after = rest.partition(end)
    write_text(page, "\n\n".join([before.rstrip(), start, *blocks, end]) + after)


def _markdown(table: pd.DataFrame) -> str:
    head = "| " + " | ".join(str(c) for c in table.columns) + " |"
    line = "| " + " | ".join("---:" if table[c].dtype.kind in "fi" else "---" for c in table) + " |"
    body = [
        "| " + " | ".join(_number(v) if isinstance(v, float) else str(v) for v in row) + " |"
        for row in table.itertuples(index=False)
    ]
    return "\n".join([head, line, *body])
