"""Every recipe is a valid configuration, and those of a paper have its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from recipes.objectives.config import load_objectives
from tests.data_loaders.test_processed_public import write_public
from tscl.runs.clinical.config import ClinicalConfig
from tscl.runs.clinical.run import ClinicalRun
from tscl.runs.jobs import check_job, load_job
from tscl.runs.study.config import load_study

RECIPES = Path(__file__).parents[2] / "recipes"
LOADERS = {"study": load_study, "objectives": load_objectives}


def values_of(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    return values


@pytest.mark.parametrize(
    "path", sorted(RECIPES.glob("*/*.yaml")), ids=lambda p: f"{p.parent.name}/{p.stem}"
)
def test_every_recipe_is_a_valid_configuration(path: Path) -> None:
    job = yaml.safe_load(path.read_text()).get("job")
    assert LOADERS.get(job, load_job)(path).name


COMET = {  # figures of the public notebooks and settings
    "ad": (42, 256, 256, 0.5, [0.25, 0.25, 0.25, 0.25], 19),
    "ptb": (42, 250, 300, 0.0, [0.1, 0.7, 0.1, 0.1], 142),
    "tdbrain": (43, 256, 256, 0.5, [0.25, 0.25, 0.25, 0.25], 34),
}
# fmt: off
LISTED = {
    "ad": ([17, 18], [19, 20]),
    "ptb": (
        [170, 171, 172, 173, 174, 175, 177, 110, 113, 115, 116, 117, 118, 119, 120, 121, 122, 123,
         125, 128, 129, 130, 140, 143, 144, 145, 146, 148],
        [179, 180, 182, 183, 187, 188, 192, 149, 150, 152, 153, 155, 156, 176, 178, 181, 184, 185,
         186, 189, 190, 191, 193, 194, 195, 196, 197, 198],
    ),
    "tdbrain": ([18, 19, 20, 21, 46, 47, 48, 49], [22, 23, 24, 25, 50, 51, 52, 53]),
}
"""Patients that validate and test, as the notebooks print them."""
# fmt: on


@pytest.mark.parametrize("name", COMET)
def test_comet_as_published(name: str) -> None:
    seed, rate, window, overlap, lambdas, patients = COMET[name]
    values = values_of(f"comet/{name}_public")
    params = {"sampling_rate": rate, "window": window, "overlap": overlap, "standardize": "trial"}
    assert values["seed"] == seed
    data = values["data"]
    assert (data["kind"], data["params"], data["standardize"]) == ("processed", params, "none")
    ids = values["split"]["params"]["ids"]
    assert (ids["valid"], ids["test"]) == LISTED[name]
    train = set(ids.get("train", range(1, 24))) - {*ids["valid"], *ids["test"]}
    assert len(train) == patients
    assert values["encoder"]["params"] == {
        **{"output_dims": 320, "hidden_dims": 64, "depth": 10, "dropout": 0.1}
    }
    assert values["method"]["params"] == {
        "lambdas": lambdas,
        "public_weights": True,
        "share_views": False,
        "id_params": {"normalize": "time", "pairs": "public"},
    }
    train = {"max_epochs": 99, "batch_size": 256, "lr": 1e-4, "average_start": -1}
    assert values["train"] == {**train, "refresh": False, "select": "last", "repeats": 5}
    evaluate = values["evaluate"]
    assert (evaluate["C"], evaluate["one_vs_rest"], evaluate["seeds"]) == (1.0, True, 5)
    assert evaluate["fractions"] == [1.0, 0.1, 0.01]
    assert evaluate["finetune_epochs"] == [50, 100, 100]
    assert evaluate["finetune"] == {
        **{"lr": 1e-4, "batch_size": 128, "double_sigmoid": True},
        **{"logit_dropout": 0.1, "latent_mask": "binomial"},
    }


def test_a_public_recipe_runs_the_authors_arrays(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    trials = {n: rng.normal(size=(1, 1280, 16)) for n in range(1, 24)}
    root = write_public(tmp_path / "AD", trials, {n: n % 2 for n in trials})
    values = values_of("comet/ad_public")
    values["out"] = str(tmp_path / "run")
    values["data"]["root"] = str(root)
    values["encoder"]["params"] |= {"output_dims": 4, "hidden_dims": 2, "depth": 1}
    values["train"] |= {"max_steps": 1, "batch_size": 32, "repeats": 2}
    values["evaluate"] |= {"compare": ["random"], "seeds": 2, "finetune_epochs": [1, 1, 1]}
    config = check_job(values)
    assert isinstance(config, ClinicalConfig)
    run = ClinicalRun(config)
    assert {name: len(part) for name, part in run.folds[0].parts.items()} == {
        "train": 19 * 9,
        "valid": 2 * 9,
        "test": 2 * 9,
    }
    cells = run.evaluate()
    # a seed in turn has an encoder of its own, so that scores differ where only it was drawn anew
    probe = [c for c in cells if c.key["method"] == "COMET" and c.key["protocol"] == "partial"]
    whole = [c.arrays["proba"] for c in probe if c.key["fraction"] == 1]
    assert len(whole) == 2
    assert not np.allclose(whole[0], whole[1])
