"""Recipes of a paper have its figures, and run what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from data_loaders.eeg.tdbrain import PROTOCOL
from tests.data_loaders.eeg.test_tdbrain import DERIVATIVE
from tests.data_loaders.test_processed_public import write_public
from tscl.encoders import ENCODERS
from tscl.runs.clinical.config import ClinicalConfig
from tscl.runs.clinical.run import ClinicalRun
from tscl.runs.config import read_values
from tscl.runs.forecasting.config import RunConfig
from tscl.runs.jobs import check_job, load_job
from tscl.runs.study.config import load_study
from tscl.runs.study.study import Study

RECIPES = Path(__file__).parents[2] / "recipes"


def values_of(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    return values


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
    kind = "processed"
    if name == "tdbrain":  # not published as arrays: cut from the archive's tables
        kind, params = "tdbrain", DERIVATIVE
        assert (PROTOCOL.rate, PROTOCOL.sample_steps, PROTOCOL.overlap) == (rate, window, overlap)
    assert values["seed"] == seed
    data = values["data"]
    assert (data["kind"], data["params"], data["standardize"]) == (kind, params, "none")
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


# batch, length, lr, meta_lr, mask, aug_mask, local, reg, regular, hidden, aug_dim, gamma, bias,
# hard, epochs, ratio_step, seed, depth, aug_depth, dropout, aug_dropout: the authors' records; of
# Lora, which has none, the defaults of their script
# fmt: off
AUTOTCL: dict[str, tuple[Any, ...]] = {
    "etth1_uni": (32, 257, 3e-5, 1e-2, "last", "last", .3, .003, 0, 64, 16, -.05, .05, True, 115,
                  1, 42, 10, 1, .1, .1),
    "etth1_multi": (32, 257, 1e-5, 1.2e-2, "last", "last", .3, .2, 0, 128, 16, -.05, .05, True, 35,
                    1, 42, 10, 1, .1, .1),
    "etth2_uni": (32, 512, 1e-5, 1e-2, "continuous", "last", .1, .1, 0, 128, 16, -.02, .05, False,
                  80, 1, 42, 9, 2, .3, .2),
    "etth2_multi": (64, 256, 3e-5, .1, "continuous", "continuous", 1e-6, 0, 1e-6, 8, 8, -.0009,
                    .01, False, 15, 1, 42, 9, 5, .3, .1),
    "ettm1_uni": (32, 512, 1e-5, 1e-2, "continuous", "last", .1, .1, 0, 128, 16, -.02, .05, False,
                  190, 1, 42, 9, 1, .2, .2),
    "ettm1_multi": (128, 1024, 1e-4, 3e-6, "continuous", "all_true", .001, 1e-6, 3e-5, 32, 128,
                    -.0006, .2, False, 420, 2, 42, 10, 1, .3, .1),
    "electricity_uni": (64, 257, 1e-5, 1e-2, "continuous", "binomial", .1, .1, 0, 128, 16, -.02,
                        .05, False, 110, 1, 42, 9, 2, .3, .2),
    "electricity_multi": (128, 256, 1e-6, 1e-3, "last", "continuous", 3e-6, 1e-4, .01, 32, 256,
                          -.0006, .1, True, 10, 8, 40, 9, 1, .3, .2),
    "wth_uni": (256, 256, 3e-3, 1e-2, "all_true", "binomial", 3e-4, .03, 3e-4, 128, 8, -.499,
                .0006, True, 20, 1, 42, 8, 1, .1, .1),
    "wth_multi": (64, 512, 3e-3, 1e-6, "binomial", "binomial", .1, 3e-4, .3, 16, 256, -.0009, .001,
                  False, 20, 32, 42, 6, 2, .3, .2),
    "lora_uni": (8, 1024, 1e-4, .012, "last", "last", .72, .2, .002, 64, 16, -.005, .4, True, 400,
                 1, 42, 10, 1, .1, .1),
    "lora_multi": (8, 1024, 1e-4, .012, "last", "last", .72, .2, .002, 64, 16, -.005, .4, True,
                   400, 1, 42, 10, 1, .1, .1),
}
# fmt: on
HORIZONS = {"ettm1": [24, 48, 96, 288, 672], "electricity": [24, 48, 168, 336]}
NAMES = {"ettm1": "ETTm1", "wth": "weather", "etth1": "ETTh1", "etth2": "ETTh2", "lora": "csv"}


def test_every_recipe_of_a_paper_is_checked() -> None:
    found = {p.stem for kind in ("paper", "public") for p in RECIPES.glob(f"autotcl/*_{kind}.yaml")}
    assert found == {f"{name}_{kind}" for name in AUTOTCL for kind in ("paper", "public")}
    for folder, names in (("comet", [*COMET, "uci_eeg"]), ("e2e", STUDIES)):
        recipes = RECIPES.glob(f"{folder}/*_public.yaml")
        assert {p.stem for p in recipes} == {f"{name}_public" for name in names}


def test_the_public_options_are_the_same_on_a_set_the_authors_do_not_run() -> None:
    names = ("uci_eeg_public", "ad_public")
    ours, theirs = (load_job(RECIPES / "comet" / f"{name}.yaml").model_dump() for name in names)
    for values in (ours, theirs):
        for section, key in (("train", "repeats"), ("data", "root"), ("data", "params")):
            del values[section][key]
    for section in ("data", "encoder", "method", "train", "evaluate"):
        assert ours[section] == theirs[section], section


@pytest.mark.parametrize("name", COMET)
def test_the_recipes_that_choose_on_validation_have_the_paper_s_training(name: str) -> None:
    lambdas, ours = COMET[name][4], load_job(RECIPES / "comet" / f"{name}.yaml")
    assert isinstance(ours, ClinicalConfig)
    encoder = ENCODERS.build(ours.encoder.name, input_dims=2, **ours.encoder.params)
    wanted = {"output_dims": 320, "hidden_dims": 64, "depth": 10, "dropout": 0.1}
    assert {key: encoder.config()[key] for key in wanted} == wanted
    assert ours.method.params == {"lambdas": lambdas}
    train = ours.train
    assert (train.max_epochs, train.batch_size, train.lr) == (100, 256, 1e-4)
    assert (train.averaging, train.select, ours.evaluate.C) == ("swa", "validation", [0.01, 0.1, 1])
    if name == "ad":
        assert ours.split.params.ids == dict(zip(("valid", "test"), LISTED["ad"], strict=True))  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["paper", "public"])
@pytest.mark.parametrize("name", AUTOTCL)
def test_autotcl_as_recorded(name: str, kind: str) -> None:
    config = load_job(RECIPES / "autotcl" / f"{name}_{kind}.yaml")
    assert isinstance(config, RunConfig)
    paper = kind == "paper"
    data, encoder, method = config.data, config.encoder.params, config.method.params
    train, own = config.train, method["aug_params"]
    ours = (
        *(train.batch_size, train.max_train_length, train.lr, method["meta_lr"]),
        *(method["mask"], method["aug_mask"]),
        *(method["local_weight"], method["reg_weight"], method["regular_weight"]),
        *(encoder["hidden_dims"], method["aug_dim"], own["gamma"], own["bias"], own["hard"]),
        *(train.max_epochs, method.get("ratio_step", 1), config.seed),
        *(encoder["depth"], method["aug_depth"], encoder["dropout"], method["aug_dropout"]),
    )
    wanted = list(AUTOTCL[name])
    assert method["aug_hidden"] == wanted[9]
    if not paper:  # of these the public code's networks never hear
        wanted[4], wanted[5] = "all_true", "all_true"
        wanted[9], wanted[17:] = 64, [10, 3, 0.0, 0.0]
    assert list(ours) == wanted
    key, form = name.rsplit("_", 1)
    assert data.dataset == NAMES.get(key, key)
    assert data.features == ("S" if form == "uni" else "M")
    assert data.instances == (name == "electricity_multi")
    assert config.evaluate.horizons == HORIZONS.get(key, [24, 48, 168, 336, 720])
    assert (config.evaluate.window, config.evaluate.drop) == (200, 200)
    assert (config.encoder.name, encoder["output_dims"], encoder["causal"]) == ("cost", 320, False)
    assert (method["aug_encoder"], own["zeta"], method["temperature"]) == ("cost", 1.0, 1.0)
    assert own["h_logits"] == ("linear" if paper else "sigmoid")
    assert method["symmetric"] is paper
    assert (train.averaging, train.average_start) == ("swa", 0 if paper else -1)
    assert method["augmentation_sees"] == ("encoder" if paper else "backbone")
    assert method["fixed_channels"] == ("covariates" if paper else 0)
    # the public scripts stop at 4,000 steps, which none of the first four comes near
    assert train.max_steps == (None if key in ("etth1", "etth2") and not paper else 4000)


ETT_LENGTHS = {24: 48, 48: 96, 168: 168, 336: 336, 720: 720}
STUDIES = {  # data set, split, horizon to length of the past
    "etth1": ("ETTh1", "own", ETT_LENGTHS),
    "ettm1": ("ETTm1", "own", {24: 672, 48: 96, 96: 384, 288: 672, 672: 672}),
    "ecl": ("csv", (0.7, 0.1, 0.2), ETT_LENGTHS),
    "wth": ("weather", (0.7, 0.1, 0.2), ETT_LENGTHS),
    "solar": ("csv", (0.7, 0.1, 0.2), ETT_LENGTHS),
}
STUDY_TERMS = {
    "hierarchical": {"mask_rate": 0.7, "masked_views": 1, "alpha": 1.0},
    "moco": {
        **{"queue": 512, "momentum": 0.999, "temperature": 1.0, "pooling": "random"},
        **{"head": True, "augment": "key"},
    },
    "cost": {
        **{"queue": 256, "momentum": 0.999, "temperature": 1.0, "pooling": "random"},
        **{"head": True, "augment": "key", "frequency_weight": 0.0005},
        "augmentation": {"name": "scale_shift_jitter", "sigma": 0.5, "p": 0.5},
    },
}
WIDTHS = {"informer": (128, 0.05), "dilated": (64, 0.0), "tcn": (64, 0.05), "lstm": (64, 0.1)}


@pytest.mark.parametrize("name", STUDIES)
def test_end_to_end_as_published(name: str) -> None:
    dataset, split, lengths = STUDIES[name]
    config = load_study(RECIPES / "e2e" / f"{name}_public.yaml")
    data, train = config.data, config.train
    assert (data.dataset, data.split, data.features) == (dataset, split, "M")
    assert not data.covariates
    assert config.horizons == list(lengths)
    assert {horizon: config.length(horizon) for horizon in lengths} == lengths
    assert config.algorithms == STUDY_TERMS
    queues = {name: config.contrast("moco", name)["queue"] for name in config.backbones}
    assert queues == {"informer": 512, "dilated": 256, "tcn": 512, "lstm": 512}
    assert config.training("two_stage_ridge")["pretrain"] == "sections"
    for term in ("moco", "cost"):  # of the code of two steps alone
        params = config.contrast(term, "dilated", "two_stage_ridge")
        assert (params["augment"], params["augmentation"]["name"]) == ("both", "scale_shift_jitter")
    assert config.strategies == ["supervised", "two_stage_ridge", "end_to_end"]
    assert {k: (v["hidden_dims"], v["dropout"]) for k, v in config.backbones.items()} == WIDTHS
    assert {v["depth"] for v in config.backbones.values()} == {5}
    informer = config.backbones["informer"]
    assert (informer["heads"], informer["ffn_dims"], informer["factor"]) == (8, 64, 3)
    assert (train.weight, train.max_epochs, train.patience, train.batch_size) == (0.5, 20, 5, 16)
    assert (train.lr, train.weight_decay, train.lr_schedule) == (1e-3, 0.0, "halving")
    assert (train.hold_epochs, train.ridge_window, train.ridge_drop) == (1, 201, 200)
    assert train.network_params == {
        **{"published": True, "output_dims": 320, "decoder_dims": 320, "dropout": 0.05}
    }
    assert config.seeds == [0, 1, 2]
    assert config.networks == ["informer_forecaster"]
    assert config.train_for["informer_forecaster"]["backbone_params"] == {
        **{"hidden_dims": 320, "heads": 8, "layers": 5, "decoder_layers": 1},
        **{"ffn_dims": 2048, "factor": 3, "dropout": 0.05},
    }


def test_the_changes_that_the_study_s_header_names_are_its_own() -> None:
    text = (RECIPES / "e2e" / "etth1_public.yaml").read_text()
    changes = [quoted or word for quoted, word in re.findall(r"-s (?:'([^']+)'|(\S+))", text)]
    assert len(changes) == 3
    config = load_study(RECIPES / "e2e" / "etth1_public.yaml", changes)
    form = {"mask_rate": 0.3, "masked_views": 1, "normalize": True}
    assert config.algorithms["hierarchical"] == form
    assert config.contrast("moco", "dilated")["hierarchical"] == 0.5
    assert config.train_for["informer_forecaster"]["backbone_params"]["layers"] == [3, 2, 1]


def test_a_public_study_runs_over_backbones_terms_and_strategies(tmp_path: Path) -> None:
    steps = np.arange(700)
    frame = pd.DataFrame({"date": pd.date_range("2020", periods=700, freq="h")})
    frame["a"], frame["b"] = np.sin(steps / 4), np.cos(steps / 7)
    frame.to_csv(tmp_path / "series.csv", index=False)
    small = {"hidden_dims": 8, "depth": 1}
    changes = [
        *("data.dataset=csv", f"data.path={tmp_path / 'series.csv'}", f"out={tmp_path / 'out'}"),
        *("horizons=[4]", "lengths={4: 8}", "seeds=[0]", "baselines=false"),
        *("train.max_epochs=1", "train.steps_per_epoch=2", "train.max_steps=2"),
        *("train.ridge_window=21", "train.ridge_drop=20"),
        *("train.network_params.output_dims=8", "train.network_params.decoder_dims=8"),
        *(f"backbones.{name}.{k}={v}" for name in WIDTHS for k, v in small.items()),
        *("backbones.informer.heads=2", "backbones.informer.ffn_dims=4"),
        "train_for.informer_forecaster.backbone_params="
        "{hidden_dims: 8, heads: 2, ffn_dims: 4, layers: [2, 1]}",
    ]
    study = Study(load_study(RECIPES / "e2e" / "etth1_public.yaml", changes))
    study.run()
    rows = study.rows()
    assert len(rows) == len(WIDTHS) * (1 + 2 * len(STUDY_TERMS)) + 1
    assert np.isfinite(rows["mse"]).all()
    assert set(rows["algorithm"]) == {"none", *STUDY_TERMS}


def test_no_recipe_of_all_columns_inherits_a_target():
    for path in sorted(Path("recipes").rglob("*.yaml")):
        data = read_values(path).get("data")
        if isinstance(data, dict) and data.get("features") == "M":
            assert data.get("target") is None, path
