"""Tables and the figure of docs/results_e2e.md from the parquet tables of finished studies.

python recipes/e2e/collect.py ETTh1=runs/e2e_etth1_patched ETTh2=runs/e2e_etth2_patched \
    --trials recipes/e2e/tuning.jsonl --into docs/results_e2e.md --figure docs/figures/e2e.png

Several folders of one NAME make one table; FOLDER:NOTE adds a note to the names of its rows.
What stands between `<!-- NAME: ... -->` and `<!-- end NAME -->` in the page is replaced.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tscl.reporting.document import markdown_table
from tscl.runs.forecasting.figures import COLOURS

E2E = "Transformer, end to end"
SUPERVISED = "Transformer, MSE only"
CHOSEN = "chosen by validation"
NAMES = {
    ("transformer", "supervised"): SUPERVISED,
    ("transformer", "end_to_end"): E2E,
    ("transformer", "two_stage_ridge"): "Transformer, contrast alone, frozen, ridge",
    ("transformer", "two_stage_mlp"): "Transformer, contrast alone, frozen, own head",
    ("transformer", "pretrain_finetune"): "Transformer, contrast alone, then MSE",
    ("dlinear", "supervised"): "DLinear",
}
ORDER = [SUPERVISED, E2E, "Transformer, contrast", "DLinear"]
ORDER += ["Auto", "seasonal naive", "last value"]
STATISTICAL = {"auto_ets": "AutoETS", "auto_arima": "AutoARIMA"}
KEYS = ["place", "name", "horizon", "seed"]


def named(frame: pd.DataFrame, note: str = "") -> pd.DataFrame:
    """The table with columns ``name``, ``note`` and ``place`` (where the row stands).

    Notes are the algorithm where a study has several, and ``note`` for trained rows.
    """
    several = len(set(frame["algorithm"]) - {"none"}) > 1

    def notes(row: pd.Series) -> str:
        if row["strategy"] == "baseline":
            return ""
        own = [row["algorithm"]] if several and row["algorithm"] != "none" else []
        return ", ".join(own + ([note] if note else []))

    def name(row: pd.Series) -> str:
        if row["strategy"] == "baseline":
            return STATISTICAL.get(row["backbone"], str(row["backbone"]))
        text = NAMES[row["backbone"], row["strategy"]]
        text += f", lambda {row['weight']:g}" if row["strategy"] == "end_to_end" else ""
        return f"{text} ({row['note']})" if row["note"] else text

    frame = frame.assign(note=frame.apply(notes, axis=1))
    return placed(frame.assign(name=frame.apply(name, axis=1)))


def placed(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with the column ``place``."""
    place = [next((i for i, n in enumerate(ORDER) if t.startswith(n)), 99) for t in frame["name"]]
    late = frame["name"].str.endswith(CHOSEN)
    return frame.assign(place=np.array(place) + 0.5 * late)


def chosen(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of the setting with the lowest mean validation MSE over seeds, for each horizon.

    Among end-to-end and among MSE-only settings, of those with the most seeds; none where there
    was nothing to choose at any horizon.
    """
    parts = []
    for strategy, family in (("supervised", SUPERVISED), ("end_to_end", E2E)):
        mine = frame[(frame["strategy"] == strategy) & frame["name"].str.startswith(family)]
        if mine.groupby("horizon")["name"].nunique().max() == 1:
            continue
        for _, part in mine.groupby("horizon"):
            each = part.groupby("name")["valid_mse"].agg(["size", "mean"])
            best = each[each["size"] == each["size"].max()]["mean"].idxmin()
            parts.append(
                part[part["name"] == best].assign(name=f"{family}, {CHOSEN}", note=CHOSEN, was=best)
            )
    return placed(pd.concat(parts)) if parts else frame[:0]


def gather(studies: list[str]) -> dict[str, pd.DataFrame]:
    """One table a NAME from arguments NAME=FOLDER or NAME=FOLDER:NOTE."""
    parts: dict[str, list[pd.DataFrame]] = {}
    for text in studies:
        data, place = text.split("=", 1)
        folder, _, note = place.partition(":")
        parts.setdefault(data, []).append(
            named(pd.read_parquet(Path(folder) / "study.parquet"), note)
        )
    result = {}
    for data, frames in parts.items():
        whole = pd.concat(frames).drop_duplicates(KEYS)
        result[data] = pd.concat([whole, chosen(whole)]).sort_values(KEYS, ignore_index=True)
    return result


def spread(values: pd.Series) -> str:
    """Mean and deviation over seeds."""
    text = f"{values.mean():.3f}"
    text += f" ± {values.std():.3f}" if len(values) > 1 else ""
    return text + (" (2 seeds)" if len(values) == 2 else "")


def errors(frame: pd.DataFrame, metric: str) -> str:
    """Rows of forecasters, a column for each horizon."""
    lines = []
    for name, group in frame.groupby("name", sort=False):
        row = {f"{metric.upper()} at": name}
        for horizon in sorted(frame["horizon"].unique()):
            part = group[group["horizon"] == horizon]
            row[str(horizon)] = spread(part[metric]) if len(part) else ""
        lines.append(row)
    return markdown_table(pd.DataFrame(lines), names=1)


def against(frame: pd.DataFrame, rival: str) -> pd.DataFrame:
    """Test MSE of each Transformer row minus the rival's with the same seed, in percent."""
    other = frame[frame["name"] == rival].set_index(["horizon", "seed"])["mse"]
    mine = frame[frame["name"].str.startswith("Transformer") & (frame["name"] != rival)]
    keys = pd.MultiIndex.from_frame(mine[["horizon", "seed"]])
    mine = mine.assign(change=100.0 * (mine["mse"].to_numpy() / other.reindex(keys) - 1).to_numpy())
    return mine.dropna(subset="change")


def paired(frame: pd.DataFrame) -> str:
    """Change of test MSE against each MSE-only row and DLinear, seed by seed; a table a rival."""
    supervised = frame[(frame["strategy"] == "supervised") & (frame["note"] != CHOSEN)]
    tables = []
    for rival in supervised["name"].unique():
        result = against(frame, rival)
        lines = []
        for name, group in result.groupby("name", sort=False):
            row = {f"against {rival}": name}
            for horizon in sorted(result["horizon"].unique()):
                part = group[group["horizon"] == horizon]["change"]
                lower = int((part < 0).sum())
                row[str(horizon)] = (
                    f"{part.mean():+.1f} % ({lower} of {len(part)})" if len(part) else ""
                )
            lines.append(row)
        tables.append(markdown_table(pd.DataFrame(lines), names=1))
    return "\n\n".join(tables)


def choices(frame: pd.DataFrame) -> str:
    """What validation chose at each horizon."""
    rows = frame[frame["note"] == CHOSEN].drop_duplicates(["name", "horizon"])
    lines = []
    for name, group in rows.groupby("name", sort=False):
        family = name.removesuffix(f", {CHOSEN}")
        row = {"at": name}
        for horizon, was in zip(group["horizon"], group["was"], strict=True):
            row[str(horizon)] = was.removeprefix(family).strip(" ,") or "the plain row"
        lines.append(row)
    return markdown_table(pd.DataFrame(lines).fillna(""))


def figure(frames: dict[str, pd.DataFrame]) -> Figure:
    """Test MSE relative to MSE only by lambda, one panel a data set.

    Dots are seeds, dashed lines DLinear where it is within the range of the dots or near it.
    """
    result = Figure(figsize=(5.0 * len(frames), 3.8))
    panels = result.subplots(1, len(frames), squeeze=False)[0]
    horizons = sorted({int(h) for frame in frames.values() for h in frame["horizon"]})
    shade = dict(zip(horizons, COLOURS, strict=False))
    ends = {
        data: differences[(differences["strategy"] == "end_to_end") & (differences["note"] == "")]
        for data, differences in ((d, against(f, SUPERVISED)) for d, f in frames.items())
    }
    weights = sorted({w for differences in ends.values() for w in differences["weight"]})
    for axes, (data, frame) in zip(panels, frames.items(), strict=True):
        means = frame.groupby(["name", "horizon"])["mse"].mean()
        top = 1.15 * max(ends[data]["change"].max(), 5.0)
        for horizon, group in ends[data].groupby("horizon"):
            colour = shade[horizon]
            mean = group.groupby("weight")["change"].mean()
            rival = 100 * (means["DLinear", horizon] / means[SUPERVISED, horizon] - 1)
            axes.plot(
                [0, *[1 + weights.index(w) for w in mean.index]],
                [0.0, *mean],
                color=colour,
                label=f"{horizon} h (DLinear {rival:+.1f} %)",
            )
            if rival < top:
                axes.axhline(rival, color=colour, lw=0.9, ls="--")
            x = [1 + weights.index(w) for w in group["weight"]]
            axes.scatter(x, group["change"], color=colour, s=18, zorder=3)
        axes.axhline(0, color="#999999", lw=0.8)
        axes.set_xticks(range(1 + len(weights)), ["0 (MSE only)", *[f"{w:g}" for w in weights]])
        axes.set_xlabel("lambda")
        axes.set_title(data, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, loc="upper left", framealpha=1.0, edgecolor="none")
    panels[0].set_ylabel("test MSE against MSE only, %")
    result.tight_layout()
    return result


def validation(path: Path) -> str:
    """Best validation MSE of the trials of tune.py, lowest first."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    table = pd.DataFrame(
        {
            "trial": [r["trial"] for r in rows],
            "horizon": [r["horizon"] for r in rows],
            "validation MSE": [f"{min(r['curve']):.3f}" for r in rows],
            "best of epochs": [
                f"{1 + r['curve'].index(min(r['curve']))}/{len(r['curve'])}" for r in rows
            ],
        }
    )
    return markdown_table(table.sort_values(["horizon", "validation MSE"]), names=1)


def blocks(frames: dict[str, pd.DataFrame], trials: Path | None) -> Iterator[tuple[str, str]]:
    """Name and text of every generated block."""
    if trials is not None:
        yield "trials", validation(trials)
    for data, frame in frames.items():
        yield f"{data} errors", errors(frame, "mse") + "\n\n" + errors(frame, "mae")
        if (frame["note"] == CHOSEN).any():
            yield f"{data} chosen", choices(frame)
        yield f"{data} paired", paired(frame)


def rewrite(path: Path, texts: dict[str, str]) -> None:
    """Replace the blocks of a page; KeyError when one is not there."""
    page = path.read_text(encoding="utf-8")
    for name, text in texts.items():
        pattern = rf"(<!-- {re.escape(name)}[^\n]*-->\n).*?(<!-- end {re.escape(name)} -->)"
        page, count = re.subn(pattern, lambda m, t=text: f"{m[1]}\n{t}\n\n{m[2]}", page, flags=re.S)
        if not count:
            raise KeyError(f"{path} has no block named '{name}'")
    path.write_text(page, encoding="utf-8")


def main() -> None:
    """Replace the blocks of the page, or print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="+", help="NAME=FOLDER of a finished study")
    parser.add_argument("--trials", type=Path, help="what tune.py wrote")
    parser.add_argument("--into", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    frames = gather(options.studies)
    if options.figure:
        options.figure.parent.mkdir(parents=True, exist_ok=True)
        figure(frames).savefig(options.figure, dpi=110, metadata={"Software": None})
    if options.into is None:
        print("\n\n".join(f"{n}\n\n{text}" for n, text in blocks(frames, options.trials)))
        return
    try:
        rewrite(options.into, dict(blocks(frames, options.trials)))
    except KeyError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
