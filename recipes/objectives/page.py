"""The page of a finished comparison of objectives: one ranked table, its figures and what it says.

Every sentence that states a finding is computed from the cells.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from recipes.objectives.config import AnyTask, ArchiveTask, CohortTask
from recipes.objectives.feeds import BASELINE, CHANNEL_GROUPS, GROUPS
from recipes.objectives.figures import geometry_figure, rank_figure
from recipes.objectives.ranking import Ranking, format_interval, rank_methods
from recipes.objectives.study import UNTRAINED, ObjectiveStudy
from tscl.disk import write_bytes, write_text
from tscl.errors import InputError
from tscl.reporting.critical_difference import CriticalDifference, critical_difference
from tscl.reporting.document import markdown_table, png


def write_page(study: ObjectiveStudy, page: Path, figures: Path, command: str) -> Ranking:
    """Write ``page`` (Markdown) and its figures from the finished cells of ``study``.

    Args:
        study: its seeds without all cells are left out.
        page: file to write. figures: folder of the PNG files.
        command: what the page says to run.

    Raises:
        InputError: no seed has all cells.
    """
    frame = study.collect()
    if frame.empty:
        raise InputError("cells", str(study.folder), "none is finished; run the comparison first")
    ranking = rank_methods(frame)
    groups = dict(zip(frame["objective"], frame["group"], strict=True))
    complete = ranking.complete()
    drawn = {
        "objectives_ranks": rank_figure(ranking, groups),
        "objectives_geometry": geometry_figure(
            frame[frame["seed"].isin(ranking.seeds)], ranking, groups
        ),
    }
    difference: CriticalDifference | None = None
    if complete.shape[0] > 1 and complete.shape[1] > 1:
        difference = critical_difference(complete, test="nemenyi")
        drawn["objectives_cd"] = difference.figure()
    for name, figure in drawn.items():
        write_bytes(figures / f"{name}.png", png(figure))
    folder = Path(os.path.relpath(figures, page.parent)).as_posix()
    write_text(page, _markdown(study, ranking, groups, difference, folder, command))
    return ranking


def ranked_table(ranking: Ranking, groups: dict[str, str]) -> pd.DataFrame:
    """Place, objective, group, mean rank, errors by data set, and the untrained encoder beside."""
    rows = []
    for place, name in enumerate(ranking.methods, start=1):
        i = place - 1
        fits = int(np.isfinite(ranking.ranks[:, i]).sum())
        rank = format_interval((ranking.mean_rank[i], ranking.low[i], ranking.high[i]), digits=1)
        row: dict[str, object] = {
            "place": place,
            "objective": f"**{name}**" if groups[name] == BASELINE else name,
            "group": groups[name],
            "mean rank": rank + ("" if fits == len(ranking.tasks) else f" ({fits} sets)"),
        }
        for task in ranking.tasks:
            values = ranking.task_interval(task, name)
            row[task] = format_interval(values) if np.isfinite(values[0]) else ""
        versus = ranking.against(name, UNTRAINED) if UNTRAINED in ranking.methods else None
        row["untrained"] = (
            "" if versus is None or name == UNTRAINED else f"{versus['better']} / {versus['worse']}"
        )
        rows.append(row)
    return pd.DataFrame(rows)


def findings(
    ranking: Ranking, groups: dict[str, str], difference: CriticalDifference | None
) -> list[str]:
    """Sentences computed from the ranking."""
    out = []
    for group in GROUPS:
        inside = [m for m in ranking.methods if groups[m] == group]
        if inside and group != BASELINE:
            first = inside[0]
            place = ranking.methods.index(first) + 1
            out.append(f"Best {group}: `{first}`, place {place} of {len(ranking.methods)}.")
    trained = [m for m in ranking.methods if groups[m] != BASELINE]
    for base in (m for m in ranking.methods if groups[m] == BASELINE):
        place = ranking.methods.index(base)
        above = sum(1 for m in trained if ranking.methods.index(m) < place)
        out.append(
            f"Place of the baseline *{base}*: {place + 1}; {above} of {len(trained)} objectives "
            "stand above it."
        )
    if UNTRAINED in ranking.methods:
        totals: Counter[str] = Counter()
        for name in trained:
            totals.update(ranking.against(name, UNTRAINED))
        n = sum(totals.values())
        out.append(
            f"Of {n} pairs of objective and data set, training lowered the error of the untrained "
            f"encoder in {totals['better']} and raised it in {totals['worse']}; in "
            f"{totals['open']} the interval over seeds contains zero."
        )
    if difference is not None:
        largest = max((len(g) for g in difference.groups), default=0)
        out.append(
            f"Over the {len(difference.ranks)} methods that fit every data set: "
            + difference.sentence()
            + f" The largest group holds {largest} of them."
        )
    return out


def _markdown(
    study: ObjectiveStudy,
    ranking: Ranking,
    groups: dict[str, str],
    difference: CriticalDifference | None,
    folder: str,
    command: str,
) -> str:
    config = study.config
    train = config.train
    encoder = ", ".join(f"{k} {v}" for k, v in config.encoder.params.items())
    lines = [
        "# Training objectives compared",
        "",
        "Every registered objective with the same encoder, the same views and the same number of "
        "steps. Written by",
        "",
        "```sh",
        command,
        "```",
        "",
        f"Encoder `{config.encoder.name}` ({encoder}), projection head of {train.projection_dims} "
        f"dimensions that is thrown away, `{train.augmentation}` views, {train.steps} steps of "
        f"{train.batch_size} samples, AdamW at {train.lr:g}, seeds "
        f"{', '.join(map(str, ranking.seeds))}. Each objective has the library's default settings; "
        "none was tuned. Embeddings are max-pooled over time and frozen.",
        "",
        *[f"- **{name}**: {_describe(config.tasks[name])}" for name in ranking.tasks],
        "",
        "Groups: *without labels* sees two augmented views; *with labels* also sees the classes of "
        "the training samples (SupReMix their numbers, SepCLR class 0 as background); "
        f"*{CHANNEL_GROUPS}* sees one group of channels in each view, where the data set has two "
        "modalities, with InfoNCE fed alike beside. MoCo, BYOL and SimSiam use the same encoder "
        "for both views (no momentum copy), MV-InfoNCE and MV-DHEL see two views. `mmd` is a "
        "discrepancy that AutoTCL minimises, not meant to train alone.",
        "",
        "## Ranking",
        "",
        f"Errors are means over seeds with {ranking.level:.0%} bootstrap intervals; the mean rank "
        "is over data sets, its interval from a bootstrap of data sets and of seeds within them. "
        f"{len(ranking.seeds)} seeds and {len(ranking.tasks)} data sets are few, so all intervals "
        "are rough and likely too narrow. The last column counts data sets where the paired "
        "difference to the untrained encoder is below / above zero with its whole interval.",
        "",
        markdown_table(ranked_table(ranking, groups), names=1),
        "",
        "## What it says",
        "",
        *[f"- {sentence}" for sentence in findings(ranking, groups, difference)],
        "",
        f"![Mean ranks with intervals]({folder}/objectives_ranks.png)",
        "",
    ]
    if difference is not None:
        lines += [
            "## Average ranks and critical difference",
            "",
            f"![Average-rank diagram]({folder}/objectives_cd.png)",
            "",
            difference.sentence(),
            "",
        ]
    lines += [
        "## Alignment and uniformity",
        "",
        "Of the frozen embeddings of test samples, two augmented views each, means over seeds; "
        "numbers are places in the table. Embeddings at the upper left have collapsed towards one "
        "direction.",
        "",
        f"![Alignment and uniformity]({folder}/objectives_geometry.png)",
        "",
    ]
    return "\n".join(lines)


def _describe(task: AnyTask) -> str:
    """A data set, its split and its figure, in a line."""
    if isinstance(task, CohortTask):
        settings = ", ".join(f"{k} {v}" for k, v in task.settings.items()) or "defaults"
        return (
            f"generated cohort ({settings}), windows of {task.window} steps, healthy against "
            f"disease, one fold of patients in {task.folds} held out by seed; error 1 - macro F1 "
            "of logistic regression."
        )
    if isinstance(task, ArchiveTask):
        return f"`{task.set}` with its official split; error 1 - macro F1 of logistic regression."
    horizons = ", ".join(map(str, task.horizons))
    source = Path(task.data.path or task.data.dataset).name
    return (
        f"`{source}`, windows of {task.length} steps; error is the MSE at "
        f"horizon {horizons} (standardised target) of a ridge on embeddings and current value. "
        f"Labels: mean change over the next {task.ahead} steps, in {task.bins} "
        "classes or as a number."
    )
