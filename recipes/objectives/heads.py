"""Projection heads: depth, width, how much of the head is thrown away, and the fixed reweighting.

    python -m recipes.objectives.heads --out runs/heads --page docs/results_heads.md

Data sets, encoder, views and budget are those of the comparison of objectives
(``recipes/objectives/objectives.yaml``). Every run is one file in ``--out``; a killed study goes on
where it was. The page is made of finished runs only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from recipes.objectives.config import ObjectivesConfig, load_objectives
from recipes.objectives.study import pooled, step_settings
from recipes.objectives.tasks import Task, TaskSource
from tscl.encoders import ENCODERS
from tscl.losses import uniformity
from tscl.methods import SimCLR
from tscl.methods.heads import HeadStack
from tscl.reporting.document import markdown_table
from tscl.saving.tensors import read_json, write_json
from tscl.seeding import seeded
from tscl.training.data import ArraySource, RandomSampler
from tscl.training.trainer import Trainer

BASE = Path(__file__).with_name("objectives.yaml")
TASKS = ("ECG cohort", "JapaneseVowels")
SEEDS = (0, 1, 2, 3, 4)
LOSS = "ntxent"
HEADS: dict[str, dict[str, object]] = {
    "none": {"name": "none"},
    "1 layer": {"name": "mlp", "depth": 1},
    "2 layers, width 8": {"name": "mlp", "depth": 2, "width": 8},
    "2 layers, width 32": {"name": "mlp", "depth": 2, "width": 32},
    "2 layers, width 128": {"name": "mlp", "depth": 2, "width": 128},
    "3 layers, width 32": {"name": "mlp", "depth": 3, "width": 32},
    "reweighting, kappa 1.05": {"name": "reweight", "kappa": 1.05},
    "reweighting, kappa 1.3": {"name": "reweight", "kappa": 1.3},
}


INTRODUCTION = """# Projection heads

Which head to train with, and how much of it to throw away (arXiv 2403.11391): SimCLR with `{loss}`,
the encoder, views and budget of the [comparison of objectives](results_objectives.md), a linear
probe on frozen embeddings. Macro F1 on the test part, mean ± deviation over {seeds} seeds;
uniformity is the [diagnostic](losses.md) on embeddings of test samples, lower is more even. `kept`
counts the layers of the head that stand between encoder and probe: 0 throws the whole head away.
The reweighting is the paper's fixed alternative to a head; the probe standardises its features, so
it gives one figure before and behind it. A probe behind a layer with ReLU can do more than a linear
one on the embeddings. `head:` of SimCLR takes all of these heads.

```sh
{command}
```
"""


def run(
    config: ObjectivesConfig, task: Task, head: str | None, seed: int
) -> list[dict[str, object]]:
    """One row for each part of the head that is kept: macro F1, uniformity of test embeddings."""
    with seeded(seed, "weights"):
        encoder = ENCODERS.build(
            config.encoder.name, input_dims=task.x.shape[2], **config.encoder.params
        )
    assert isinstance(encoder, nn.Module)
    if head is None:
        return [{"kept": 0} | figures(task, encoder, nn.Identity())]
    train = config.train
    with seeded(seed, "head"):
        method = SimCLR(
            encoder,
            augmentation=train.augmentation,
            loss=LOSS,
            projection_dims=train.projection_dims,
            head=HEADS[head],
            one_pass=True,
        )
    size, settings = step_settings(train, len(task.x), seed)
    source, sampler = ArraySource(task.x), RandomSampler(len(task.x), size, drop_last=True)
    trained = Trainer(settings).fit(method, source, sampler).encoder
    result = method.head.eval()
    if not isinstance(result, HeadStack):
        return [{"kept": k} | figures(task, trained, (nn.Identity(), result)[k]) for k in (0, 1)]
    parts = [nn.Sequential(*list(result)[:k]) for k in range(len(result) + 1)]
    return [{"kept": k} | figures(task, trained, part) for k, part in enumerate(parts)]


def figures(task: Task, encoder: nn.Module, head: nn.Module) -> dict[str, float]:
    """Macro F1 of a linear probe behind ``head``, uniformity of its embeddings of test samples."""

    def features(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return head(torch.from_numpy(pooled(encoder, x))).numpy()

    score = task.score(features)["macro_f1"]
    return {"macro_f1": score, "uniformity": uniformity(torch.from_numpy(features(task.seen)))}


def collect(folder: Path) -> pd.DataFrame:
    """All rows of the finished runs."""
    return pd.DataFrame([row for path in sorted(folder.glob("*.json")) for row in read_json(path)])


def page(table: pd.DataFrame, command: str) -> str:
    """The page: one table a data set, and what the rows say."""
    intro = INTRODUCTION.format(loss=LOSS, seeds=table["seed"].nunique(), command=command)
    parts = [intro]
    for task, rows in table.groupby("task", sort=False):
        cells = rows.groupby(["head", "kept"], sort=False).agg(
            macro_f1=("macro_f1", spread), uniformity=("uniformity", spread)
        )
        parts += [f"## {task}\n", markdown_table(cells.reset_index(), names=1) + "\n"]
    parts += ["## Read from it\n", *findings(table)]
    return "\n".join(parts)


def spread(values: pd.Series) -> str:
    """Mean ± deviation."""
    return f"{values.mean():.3f} ± {values.std():.3f}"


def findings(table: pd.DataFrame) -> list[str]:
    """Sentences made of the rows: discarding, depth, and reweighting, by data set."""
    out = []
    for task, rows in table.groupby("task", sort=False):
        by = rows.set_index(["head", "kept", "seed"])["macro_f1"].sort_index()
        layered = [head for head in HEADS if "layer" in head]
        last = {head: int(rows.loc[rows["head"] == head, "kept"].max()) for head in layered}
        gain = [by[head, 0] - by[head, last[head]] for head in layered]
        wins = sum(int((gains > 0).sum()) for gains in gain)
        mean, none = float(np.mean(np.concatenate(gain))), by["none", 0].mean()
        best = max(layered, key=lambda head: by[head, 0].mean())
        weighed = max((h for h in HEADS if "kappa" in h), key=lambda head: by[head, 0].mean())
        out.append(
            f"- {task}: in {wins} of {sum(len(gains) for gains in gain)} runs with layers the "
            f"embeddings before the head\n  beat those behind it, "
            f"by {mean:+.3f} on average over all runs.\n"
            f"  With the head thrown away: the best mean of the heads with layers ({best}) "
            f"{by[best, 0].mean():.3f},\n  {weighed} {by[weighed, 0].mean():.3f}, "
            f"no head {none:.3f}, untrained {by['untrained', 0].mean():.3f}."
        )
    out.append(
        "- The best means are chosen on the test part; compare them with the deviations above."
    )
    return [*out, ""]


def main() -> None:
    """Run what is missing and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/heads"))
    parser.add_argument("--page", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    given = parser.parse_args()
    config = load_objectives(BASE)
    given.out.mkdir(parents=True, exist_ok=True)
    for name in TASKS:
        source = TaskSource(config.tasks[name], given.out / "data")
        for seed in given.seeds:
            for head in (None, *HEADS):
                label = head or "untrained"
                path = given.out / f"{name}-{label}-{seed}.json".replace(" ", "_")
                if path.is_file():
                    continue
                rows = run(config, source.task(seed), head, seed)
                say = {"task": name, "head": label, "seed": seed}
                write_json(path, [say | row for row in rows])
                print(path.stem, flush=True)
    table = collect(given.out)
    order = ["untrained", *HEADS]
    table = table.sort_values(
        ["task", "head", "kept", "seed"],
        key=lambda c: c.map(order.index) if c.name == "head" else c,
    )
    seeds = "" if tuple(given.seeds) == SEEDS else " --seeds " + " ".join(map(str, given.seeds))
    command = f"python -m recipes.objectives.heads --page docs/results_heads.md{seeds}"
    target = given.page or given.out / "heads.md"
    target.write_text(page(table, command), encoding="utf-8")
    print(target)


if __name__ == "__main__":
    main()
