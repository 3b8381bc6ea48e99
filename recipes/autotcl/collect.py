"""Mean and standard deviation over the seeds of finished runs, as a Markdown table.

python recipes/autotcl/collect.py runs/etth1_uni_best_*
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tscl.runs.folder import RunFolder
from tscl.runs.forecasting.report import label


def main() -> None:
    """Print one row a method: test MSE by horizon, mean MSE and MAE over horizons."""
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", type=Path, nargs="+")
    folders = [RunFolder(p) for p in parser.parse_args().runs if (p / "metrics.json").is_file()]
    rows: dict[str, list[tuple[list[float], float]]] = {}
    horizons: list[int] = []
    for folder in folders:
        for name, results in folder.metrics()["results"].items():
            horizons = [r["horizon"] for r in results]
            mae = float(np.mean([r["mae"] for r in results]))
            rows.setdefault(name, []).append(([r["mse"] for r in results], mae))
    print("| method | seeds | " + " | ".join(map(str, horizons)) + " | mean MSE | mean MAE |")
    print("| --- |" + " ---: |" * (len(horizons) + 3))
    for name, values in rows.items():
        mse = np.array([v[0] for v in values])
        spread = f" ± {mse.mean(axis=1).std(ddof=1):.4f}" if len(values) > 1 else ""
        cells = " | ".join(f"{v:.4f}" for v in mse.mean(axis=0))
        mae = np.mean([v[1] for v in values])
        print(f"| {label(name)} | {len(values)} | {cells} | {mse.mean():.4f}{spread} | {mae:.4f} |")


if __name__ == "__main__":
    main()
