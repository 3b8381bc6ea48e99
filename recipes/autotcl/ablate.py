"""What helps on ETTh1 univariate: variants of `etth1_uni_best.yaml`, one change at a time.

    python recipes/autotcl/ablate.py --seeds 42 43 --out runs/ablation

Finished variants are taken from their run folders, so an interrupted call goes on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tscl.disk import write_text
from tscl.runs.forecasting.config import load_config
from tscl.runs.forecasting.run import ForecastingRun

HERE = Path(__file__).parent
VARIANTS: dict[str, list[str]] = {
    "all (etth1_uni_best)": [],
    "untrained encoder": ["method.name=random"],
    "TS2Vec loss": ["method.name=ts2vec"],
    "mask trained without relevance (discrepancy none)": ["method.params.discrepancy=none"],
    "no mask (h = 1)": ["method.params.aug_params.use_h=false"],
    "sparser mask (reg_weight 2)": ["method.params.reg_weight=2.0"],
    "InfoNCE one way": ["method.params.symmetric=false"],
    "local loss on the first instance only": ["method.params.local_params={instances: first}"],
    "no local loss": ["method.params.local_weight=0"],
    "no latent mask": ["method.params.mask=all_true"],
    "temperature 1": ["method.params.temperature=1.0"],
    "inputs with their level": ["data.input_form=values"],
    "head without raw window": ["evaluate.window_features=0"],
    "head without residual form": ["evaluate.residual=false"],
}


def run_variant(name: str, changes: list[str], seed: int, out: Path) -> dict[str, float]:
    """Train and score one variant; results are kept in ``out``."""
    slug = "".join(c if c.isalnum() else "-" for c in name)[:40].strip("-")
    folder = out / f"{slug}-{seed}"
    done = folder / "result.json"
    if done.is_file():
        return dict(json.loads(done.read_text()))
    untrained = "method.name=random" in changes
    other = any(c.startswith("method.name=ts2vec") for c in changes)
    kept = [c for c in changes if not c.startswith("method.name")]
    config = load_config(
        HERE / "etth1_uni_best.yaml",
        [*kept, f"seed={seed}", f"out={folder}", "evaluate.compare=[]", "evaluate.baselines=false"],
    )
    job = ForecastingRun(config)
    method = "random" if untrained else "ts2vec" if other else config.method.name
    trained = job.train(method, resume=True)
    results = job.evaluate([trained])[method]
    row = {f"{r.horizon}": r.mse for r in results}
    row["mean"] = float(np.mean([r.mse for r in results]))
    row["valid"] = float(np.mean([r.valid_mse for r in results]))
    row["kept"] = (
        trained.history[-1].get("augmentation.kept", float("nan"))
        if trained.history
        else float("nan")
    )
    write_text(done, json.dumps(row))
    return row


def main() -> None:
    """Run all variants and print a Markdown table (means over seeds)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44, 45, 46])
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for seed in options.seeds:
        for name, changes in VARIANTS.items():
            row = run_variant(name, changes, seed, options.out)
            rows.append({"variant": name, "seed": seed, **row})
            print(name, seed, {k: round(v, 4) for k, v in row.items()}, flush=True)
    frame = pd.DataFrame(rows).drop(columns="seed").groupby("variant", sort=False).mean()
    print("| variant | " + " | ".join(frame.columns) + " |")
    print("| --- |" + " ---: |" * len(frame.columns))
    for name, values in frame.iterrows():
        print(f"| {name} | " + " | ".join(f"{v:.4f}" for v in values) + " |")


if __name__ == "__main__":
    main()
