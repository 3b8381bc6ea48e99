"""The default clinical job on several generated cohorts: what each row finds, cohort by cohort.

python recipes/comet/cohorts.py --seeds 0 1 2 3 4 --out runs/cohorts [--kind ecg]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from tscl.evaluation.clinical.table import summarise
from tscl.reporting.document import markdown_table
from tscl.runs.clinical.run import ClinicalRun
from tscl.runs.jobs import load_job


def auroc(seed: int, out: Path, sets: list[str]) -> pd.DataFrame:
    """AUROC by sample of every row on the cohort of ``seed``; finished cells are not run again."""
    result = [f"data.make.seed={seed}", "train.probe=false", f"out={out / f'cohort{seed}'}", *sets]
    run = ClinicalRun(load_job(None, result, base="clinical"))
    run.begin(resume=run.folder.path.is_dir())
    table = summarise(run.evaluate(), n_replicates=0)
    table = table[(table["metric"] == "auroc") & (table["level"] == "sample")].copy()
    share = (100 * table["fraction"]).map("{:g} %".format)
    table["labels"] = share.where(table["by"] == "all", share + " of " + table["by"])
    return table.assign(cohort=seed)


def main() -> None:
    """Run and print two markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", type=Path, default=Path("runs/cohorts"))
    parser.add_argument("--set", nargs="*", default=[], help="further settings, key=value")
    given = parser.parse_args()
    table = pd.concat([auroc(seed, given.out, given.set) for seed in given.seeds])
    groups = table.groupby(["method", "labels"], sort=False)["mean"]
    cells = groups.agg(lambda v: f"{v.mean():.3f} ± {v.std():.3f}").unstack("labels")
    print("AUROC by sample, mean ± deviation over cohorts\n")
    print(markdown_table(cells.reindex(table["method"].unique()).reset_index()))
    few = table[table["labels"] == "1 % of samples"]
    print("\nAUROC with 1 % of the samples, by cohort\n")
    each = few.pivot_table(index="method", columns="cohort", values="mean", sort=False).round(3)
    print(markdown_table(each.reset_index().astype(str)))


if __name__ == "__main__":
    main()
