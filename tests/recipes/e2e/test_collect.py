"""Tables of the end-to-end study: lambda chosen on validation, pairs by seed, page rewritten."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pandas as pd
import pytest

SCRIPT = Path(__file__).parents[3] / "recipes/e2e/collect.py"


@pytest.fixture(scope="module")
def collect():
    spec = importlib.util.spec_from_file_location("e2e_collect", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def study():
    rows = []

    def add(strategy, backbone, seed, mse, valid=1.0, algorithm="none", weight=None):
        rows.append(
            {"strategy": strategy, "backbone": backbone, "seed": seed, "mse": mse, "mae": mse / 2}
            | {"valid_mse": valid, "algorithm": algorithm, "weight": weight, "horizon": 24}
        )

    for seed in (0, 1):
        add("supervised", "transformer", seed, 1.0 + seed)
        add("supervised", "dlinear", seed, 0.5)
        for weight, mse, valid in ((0.1, 1.5, seed * 0.5), (0.5, 0.9, 0.3)):
            add("end_to_end", "transformer", seed, mse, valid, "hierarchical", weight)
    add("baseline", "last value", 0, 3.0)
    return pd.DataFrame(rows)


def test_validation_chooses_the_setting_and_changes_are_paired_by_seed(collect, study, tmp_path):
    study.to_parquet(tmp_path / "study.parquet")
    frame = collect.gather([f"D={tmp_path}"])["D"]
    chosen = frame[frame["note"] == collect.CHOSEN]
    # lambda .1 has the lower mean validation error over seeds, .25 to .3, and the higher test error
    assert list(chosen["weight"]) == [0.1, 0.1]
    assert list(chosen["seed"]) == [0, 1]
    lines = collect.errors(frame, "mse").splitlines()
    assert f"| {collect.E2E}, {collect.CHOSEN} | 1.500 ± 0.000 (2 seeds) |" in lines
    assert lines[-1] == "| last value | 3.000 |"
    assert collect.errors(frame, "mae").splitlines()[-1] == "| last value | 1.500 |"
    assert collect.choices(frame).splitlines()[-1].endswith("| lambda 0.1 |")
    against_mse, against_dlinear = collect.paired(frame).split("\n\n")
    # seed 0: 0.9 to 1.0; seed 1: 0.9 to 2.0; DLinear has 0.5 in both
    assert f"| {collect.E2E}, lambda 0.5 | -32.5 % (2 of 2) |" in against_mse.splitlines()
    assert f"| {collect.E2E}, lambda 0.5 | +80.0 % (0 of 2) |" in against_dlinear.splitlines()


def test_settings_with_fewer_seeds_are_not_chosen(collect, study, tmp_path):
    lucky = study[(study["weight"] == 0.5) & (study["seed"] == 0)].assign(valid_mse=0.0)
    study = pd.concat([study[study["weight"] != 0.5], lucky])
    study.to_parquet(tmp_path / "study.parquet")
    frame = collect.gather([f"D={tmp_path}"])["D"]
    assert set(frame.loc[frame["note"] == collect.CHOSEN, "weight"]) == {0.1}
    assert f"| {collect.E2E}, lambda 0.5 | 0.900 |" in collect.errors(frame, "mse").splitlines()


def test_a_second_folder_adds_rows_with_its_note(collect, study, tmp_path):
    study.to_parquet(tmp_path / "study.parquet")
    (tmp_path / "two").mkdir()
    more = study[study["weight"].isna() | (study["weight"] == 0.5)].assign(valid_mse=0.1)
    more.to_parquet(tmp_path / "two/study.parquet")
    frame = collect.gather([f"D={tmp_path}", f"D={tmp_path / 'two'}:falling"])["D"]
    names = list(dict.fromkeys(frame["name"]))
    assert f"{collect.E2E}, lambda 0.5 (falling)" in names
    assert names.count("last value") == (frame["name"] == "last value").sum() == 1
    assert names[-1] == "last value"
    # both families have something to choose from now
    rows = collect.choices(frame).splitlines()[2:]
    assert [r.split(" | ")[-1] for r in rows] == ["(falling) |", "lambda 0.5 (falling) |"]
    # DLinear was trained the same way in both folders, but a note keeps the rows apart
    assert "against DLinear (falling)" in collect.paired(frame)


def test_the_page_is_rewritten_between_its_marks_only(collect, study, tmp_path, monkeypatch):
    study.to_parquet(tmp_path / "study.parquet")
    page = tmp_path / "page.md"
    blocks = [f"<!-- D {n} -->\nold\n<!-- end D {n} -->" for n in ("errors", "chosen", "paired")]
    blocks.append("<!-- trials -->\n<!-- end trials -->")
    page.write_text("head\n" + "\nbetween\n".join(blocks) + "\nfoot\n")
    trials = tmp_path / "trials.jsonl"
    made = [{"trial": n, "horizon": 24, "curve": c} for n, c in (("a", [3, 2.5, 4]), ("b", [1]))]
    trials.write_text("".join(json.dumps(line) + "\n" for line in made))
    command = [f"D={tmp_path}", "--into", str(page), "--figure", str(tmp_path / "f.png")]
    command += ["--trials", str(trials)]
    monkeypatch.setattr(sys, "argv", ["collect.py", *command])
    for _ in range(2):  # a second time changes nothing
        collect.main()
        text = page.read_text()
        assert text.startswith("head\n<!-- D errors -->\n\n| MSE at | 24 |")
        assert "\nbetween\n" in text
        assert text.endswith("| a | 24 | 2.500 | 2/3 |\n\n<!-- end trials -->\nfoot\n")
        assert "old" not in text
        assert text.count("| DLinear |") == 2  # in MSE and in MAE
    assert (tmp_path / "f.png").stat().st_size > 1000
    page.write_text("no marks")
    with pytest.raises(SystemExit):
        collect.main()
