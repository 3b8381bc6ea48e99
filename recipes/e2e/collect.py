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

import pandas as pd
from matplotlib.figure import Figure

from tscl.reporting.forecasting_figures import COLOURS
from tscl.reporting.markdown import markdown_table

E2E = "Transformer, end to end"
SUPERVISED = "Transformer, MSE only"
CHOSEN = "Transformer, end to end, lambda by validation"
NAMES = {
    ("transformer", "supervised"): SUPERVISED,
    ("transformer", "two_stage_ridge"): "Transformer, contrast alone, frozen, ridge",
    ("transformer", "two_stage_mlp"): "Transformer, contrast alone, frozen, own head",
    ("transformer", "pretrain_finetune"): "Transformer, contrast alone, then MSE",
    ("dlinear", "supervised"): "DLinear",
}
ORDER = [SUPERVISED, E2E, "Transformer, contrast", "DLinear", "seasonal naive", "last value"]


def named(frame: pd.DataFrame, note: str = "") -> pd.DataFrame:
    """The table with a column ``name``, and rows for the lambda that validation chooses.

    ``note`` is added to the names of trained rows.
    """
    algorithms = set(frame["algorithm"]) - {"none"}

    def name(row: pd.Series) -> str:
        if row["strategy"] == "baseline":
            return str(row["backbone"])
        text = f"{E2E}, lambda {row['weight']:g}"
        if row["strategy"] != "end_to_end":
            text = NAMES[row["backbone"], row["strategy"]]
        notes = [row["algorithm"]] if len(algorithms) > 1 and row["algorithm"] != "none" else []
        notes += [note] if note else []
        return f"{text} ({', '.join(notes)})" if notes else text

    frame = frame.assign(name=frame.apply(name, axis=1))
    ends = frame[frame["strategy"] == "end_to_end"]
    if ends["weight"].nunique() > 1 and len(algorithms) == 1:
        best = ends.groupby(["horizon", "seed"])["valid_mse"].idxmin()
        frame = pd.concat([frame, ends.loc[best].assign(name=CHOSEN)])
    rank = {n: i for i, n in enumerate(ORDER)}
    place = [next((i for n, i in rank.items() if text.startswith(n)), 99) for text in frame["name"]]
    return frame.assign(place=place, note=note)


def gather(studies: list[str]) -> dict[str, pd.DataFrame]:
    """One table a NAME from arguments NAME=FOLDER or NAME=FOLDER:NOTE."""
    parts: dict[str, list[pd.DataFrame]] = {}
    for text in studies:
        data, place = text.split("=", 1)
        folder, _, note = place.partition(":")
        parts.setdefault(data, []).append(
            named(pd.read_parquet(Path(folder) / "study.parquet"), note)
        )
    order = ["place", "name", "horizon", "seed"]
    return {
        data: pd.concat(made).drop_duplicates(order).sort_values(order, ignore_index=True)
        for data, made in parts.items()
    }


def spread(values: pd.Series) -> str:
    """Mean and deviation over seeds."""
    return f"{values.mean():.3f}" + (f" ± {values.std():.3f}" if len(values) > 1 else "")


def errors(frame: pd.DataFrame) -> str:
    """Rows of forecasters; a column of MSE and one of MAE for each horizon."""
    lines = []
    for name, group in frame.groupby("name", sort=False):
        row = {"forecaster": name}
        for horizon in sorted(frame["horizon"].unique()):
            part = group[group["horizon"] == horizon]
            row[f"{horizon} MSE"] = spread(part["mse"]) if len(part) else ""
            row[f"{horizon} MAE"] = spread(part["mae"]) if len(part) else ""
        seeds = group.groupby("horizon").size()
        trained = group["strategy"].iloc[0] != "baseline"
        row["seeds"] = "-" if not trained else "/".join(map(str, dict.fromkeys(seeds)))
        lines.append(row)
    return markdown_table(pd.DataFrame(lines), numbers_right=True)


def against(frame: pd.DataFrame, rival: str) -> pd.DataFrame:
    """Test MSE of each Transformer row minus the rival's with the same seed, in percent."""
    other = frame[frame["name"] == rival].set_index(["horizon", "seed"])["mse"]
    mine = frame[frame["name"].str.startswith("Transformer") & (frame["name"] != rival)]
    keys = pd.MultiIndex.from_frame(mine[["horizon", "seed"]])
    mine = mine.assign(change=100.0 * (mine["mse"].to_numpy() / other.reindex(keys) - 1).to_numpy())
    return mine.dropna(subset="change")


def paired(frame: pd.DataFrame) -> str:
    """Change of test MSE against MSE only and against DLinear, seed by seed."""
    lines = []
    for name in frame.loc[frame["name"].str.startswith("Transformer"), "name"].unique():
        row = {"forecaster": name}
        for rival, text in ((SUPERVISED, "MSE only"), ("DLinear", "DLinear")):
            made = against(frame, rival)
            for horizon in sorted(frame["horizon"].unique()):
                part = made[(made["name"] == name) & (made["horizon"] == horizon)]["change"]
                cell = ""
                if len(part):
                    lower = int((part < 0).sum())
                    cell = f"{part.mean():+.1f} % ({lower} of {len(part)})"
                row[f"{horizon}, to {text}"] = cell
        lines.append(row)
    return markdown_table(pd.DataFrame(lines), numbers_right=True)


def figure(frames: dict[str, pd.DataFrame]) -> Figure:
    """Test MSE relative to MSE only by lambda, one panel a data set.

    Dots are seeds, dashed lines DLinear.
    """
    made = Figure(figsize=(4.6 * len(frames), 3.6))
    panels = made.subplots(1, len(frames), squeeze=False)[0]
    for axes, (data, frame) in zip(panels, frames.items(), strict=True):
        ends = against(frame, SUPERVISED)
        ends = ends[
            (ends["strategy"] == "end_to_end") & (ends["name"] != CHOSEN) & (ends["note"] == "")
        ]
        weights = sorted(ends["weight"].unique())
        for colour, (horizon, group) in zip(COLOURS, ends.groupby("horizon"), strict=False):
            mean = group.groupby("weight")["change"].mean()
            axes.plot(
                [0, *[1 + weights.index(w) for w in mean.index]],
                [0.0, *mean],
                color=colour,
                label=f"horizon {horizon}",
            )
            rival = frame[(frame["name"] == "DLinear") & (frame["horizon"] == horizon)][
                "mse"
            ].mean()
            base = frame[(frame["name"] == SUPERVISED) & (frame["horizon"] == horizon)][
                "mse"
            ].mean()
            axes.axhline(100 * (rival / base - 1), color=colour, lw=0.9, ls="--")
            x = [1 + weights.index(w) for w in group["weight"]]
            axes.scatter(x, group["change"], color=colour, s=18, zorder=3)
        axes.axhline(0, color="#999999", lw=0.8)
        axes.set_xticks(range(1 + len(weights)), ["0 (MSE only)", *[f"{w:g}" for w in weights]])
        axes.set_xlabel("lambda")
        axes.set_title(data, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    panels[0].set_ylabel("test MSE against MSE only, %")
    made.tight_layout()
    return made


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
    return markdown_table(table.sort_values(["horizon", "validation MSE"]), numbers_right=True)


def blocks(frames: dict[str, pd.DataFrame], trials: Path | None) -> Iterator[tuple[str, str]]:
    """Name and text of every generated block."""
    if trials is not None:
        yield "trials", validation(trials)
    for data, frame in frames.items():
        yield f"{data} errors", errors(frame)
        yield f"{data} paired", paired(frame)


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
    page = options.into.read_text(encoding="utf-8")
    for name, text in blocks(frames, options.trials):
        pattern = rf"(<!-- {re.escape(name)}[^\n]*-->\n).*?(<!-- end {re.escape(name)} -->)"
        page, found = re.subn(pattern, lambda m, t=text: f"{m[1]}\n{t}\n\n{m[2]}", page, flags=re.S)
        if not found:
            parser.error(f"{options.into} has no block named '{name}'")
    options.into.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
