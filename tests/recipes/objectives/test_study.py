"""A comparison of objectives: cells, resume, what each objective is fed, and the page."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recipes.objectives.config import (
    ObjectivesConfig,
    SeriesTask,
    check_objectives,
    load_objectives,
)
from recipes.objectives.feeds import (
    CHANNEL_GROUPS,
    WITH_LABELS,
    WITHOUT_LABELS,
    build_objective,
    default_objectives,
    group_of,
)
from recipes.objectives.page import write_page
from recipes.objectives.study import BASELINES, ObjectiveStudy
from recipes.objectives.tasks import TaskSource, windows_of
from tscl.errors import ConfigError, InputError
from tscl.evaluation.probes.plain_features import raw_features, summary_features
from tscl.losses import LOSSES, ContrastiveLoss
from tscl.runs.config import validate

RECIPE = Path(__file__).resolve().parents[3] / "recipes/objectives/objectives.yaml"
SMALL: dict[str, Any] = {
    "job": "objectives",
    "tasks": {
        "power": {"kind": "archive", "set": "ItalyPowerDemand"},
        "weather": {"kind": "series", "channel_groups": [[1, 2], [0, 3]], "stride": 8},
    },
    "objectives": {
        "infonce": {"loss": "infonce"},
        "supcon": {"loss": "supcon"},
        "cwcl": {"loss": "cwcl", "views": "channels"},
    },
    "encoder": {"name": "dilated", "params": {"output_dims": 4, "hidden_dims": 4, "depth": 1}},
    "train": {"steps": 3, "batch_size": 8, "projection_dims": 4},
    "seeds": [0, 1],
}


def config(out: Path, **changes: Any) -> ObjectivesConfig:
    return check_objectives(validate(ObjectivesConfig, {**SMALL, "out": str(out), **changes}))


def test_the_recipe_covers_every_registered_loss() -> None:
    study = ObjectiveStudy(load_objectives(RECIPE))
    losses = {n for n in LOSSES.names() if issubclass(LOSSES.get(n), ContrastiveLoss)}
    assert {o.loss for o in study.objectives.values()} == losses
    groups = {name: group_of(o) for name, o in study.objectives.items()}
    assert groups["supcon"] == groups["mann_whitney (labels)"] == WITH_LABELS
    assert groups["infonce"] == groups["mann_whitney"] == WITHOUT_LABELS
    assert groups["cwcl"] == groups["infonce (channel groups)"] == CHANNEL_GROUPS
    fit = {(c.task, c.objective) for c in study.cells}
    assert ("ECG cohort", "cwcl") in fit
    assert ("ItalyPowerDemand", "cwcl") not in fit
    assert len(fit) == 4 * (len(BASELINES) + len(groups)) - groups_between(groups)


def groups_between(groups: dict[str, str]) -> int:
    return sum(1 for g in groups.values() if g == CHANNEL_GROUPS)


def test_every_default_objective_trains_on_a_small_task(tmp_path: Path) -> None:
    task = TaskSource(SeriesTask(channel_groups=([1, 2], [0, 3]), stride=16), tmp_path).task(0)
    z = torch.randn(2, 12, 8, requires_grad=True)
    for name, objective in default_objectives().items():
        loss = build_objective(objective, task, 8)
        labels = task.targets if objective.loss == "supremix" else task.classes
        value = loss(z[0], z[1], labels=torch.from_numpy(labels[:12]), ids=torch.arange(12))
        assert torch.isfinite(value), name
        assert value.requires_grad, name


def test_a_killed_comparison_goes_on_to_the_same_figures(tmp_path: Path) -> None:
    study = ObjectiveStudy(config(tmp_path))
    told: list[str] = []
    n = study.run(report=lambda title, done, total: told.append(f"{done}/{total} {title}"))
    assert n == len(study.cells) == 2 * (2 * (3 + 3) - 1)
    assert told[-1].startswith(f"{n}/{n} ")
    assert study.run() == 0
    cell = next(c for c in study.cells if c.objective == "supcon" and c.seed == 1)
    path = study.files.path(cell)
    before = json.loads(path.read_text())
    assert before["steps"] == 3
    assert before["error"] == pytest.approx(1 - before["macro_f1"])
    path.unlink()
    again = ObjectiveStudy(config(tmp_path))
    assert again.files.missing() == [cell]
    assert again.run() == 1
    assert json.loads(path.read_text()) == before
    changed = config(tmp_path, train={**SMALL["train"], "lr": 0.01})
    assert len(ObjectiveStudy(changed).files.missing()) == n


def test_the_page_has_one_row_a_method_and_its_figures(tmp_path: Path) -> None:
    study = ObjectiveStudy(config(tmp_path))
    with pytest.raises(InputError, match="none is finished"):
        write_page(study, tmp_path / "page.md", tmp_path / "figures", "command")
    study.run()
    ranking = write_page(study, tmp_path / "page.md", tmp_path / "figures", "make the page")
    assert set(ranking.methods) == {*BASELINES, "infonce", "supcon", "cwcl"}
    text = (tmp_path / "page.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(ranking.methods)
    assert "(1 sets)" in next(row for row in rows if "| cwcl |" in row)
    assert "make the page" in text
    for name in ("ranks", "geometry", "cd"):
        assert f"(figures/objectives_{name}.png)" in text
        assert (tmp_path / "figures" / f"objectives_{name}.png").stat().st_size > 1000


def test_a_worker_gets_the_study_and_writes_the_same_cell(tmp_path: Path) -> None:
    """What a process is sent is the configuration alone; it reads the data itself."""
    one = ObjectiveStudy(config(tmp_path / "one"))
    cell = next(c for c in one.cells if c.objective == "infonce")
    sent = pickle.dumps(one.compute)
    assert len(sent) < 10_000
    assert pickle.loads(sent)(cell) == one.compute(cell)


def test_labels_of_windows_are_the_change_to_come_inside_training(tmp_path: Path) -> None:
    section = SeriesTask(length=10, ahead=5, stride=3, bins=4)
    task = TaskSource(section, tmp_path).task(0)
    data = task.data  # type: ignore[attr-defined]
    train = data.split.train
    values = data.targets[:, 0]
    for i in (0, 7, len(task.x) - 1):
        end = train.start + 9 + 3 * i
        np.testing.assert_array_equal(task.x[i], data.inputs[end - 9 : end + 1])
        assert task.targets[i] == pytest.approx(values[end + 1 : end + 6].mean() - values[end])
    assert train.start + 9 + 3 * (len(task.x) - 1) + 5 < train.stop
    counts = np.bincount(task.classes)
    assert len(counts) == 4
    assert counts.max() - counts.min() <= 2


def test_plain_features_against_loops() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 9, 2)).astype(np.float32)
    x[0, 6:, 1] = np.nan
    got = summary_features(x).reshape(3, 2, 10)
    for i in range(3):
        for c in range(2):
            v = x[i, :, c][np.isfinite(x[i, :, c])].astype(np.float64)
            d = np.diff(v)
            apart = v - v.mean()
            expected = [
                v.mean(),
                v.std(),
                *np.quantile(v, [0, 0.25, 0.5, 0.75, 1]),
                v[-1],
                np.sqrt((d**2).mean()),
                (apart[1:] * apart[:-1]).mean() / v.var(),
            ]
            np.testing.assert_allclose(got[i, c], expected, rtol=1e-4)
    empty = x.copy()
    empty[1, :, 0] = np.nan
    assert not summary_features(empty).reshape(3, 2, 10)[1, 0].any()
    assert raw_features(x).shape == (3, 18)
    assert np.isfinite(raw_features(x)).all()
    with pytest.raises(InputError, match="n_timesteps"):
        raw_features(x[0])
    assert windows_of(x[1], 4, 2).shape == (3, 4, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objectives": {"a": {"loss": "infonec"}}}, "infonce"),
        ({"objectives": {"a": {"loss": "infonce", "params": {"tau": 1}}}}, "tau"),
        ({"tasks": {}}, "at least one"),
        ({"seeds": []}, "at least one"),
        ({"tasks": {"a": {"kind": "archive", "set": "x", "channels": 1}}}, "channels"),
    ],
)
def test_bad_configurations_are_named(tmp_path: Path, changes: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(tmp_path, **changes)


def test_wrong_channel_groups_and_jobs_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="channel_groups"):
        TaskSource(SeriesTask(channel_groups=([0], [9])), tmp_path)
    other = tmp_path / "other.yaml"
    other.write_text("job: study\n")
    with pytest.raises(ConfigError, match="job: objectives"):
        load_objectives(other)
