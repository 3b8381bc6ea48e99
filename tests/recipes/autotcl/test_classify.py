"""The job over archives of classification sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recipes.autotcl import classify
from tscl.errors import DataError


def write_set(root: Path, name: str, rng: np.random.Generator) -> None:
    """Two classes of different frequency, as a ``.ts`` set."""
    (root / name).mkdir(parents=True)
    for part in ("TRAIN", "TEST"):
        lines = ["@problemName x", "@timeStamps false", "@classLabel true a b", "@data"]
        for i in range(20):
            wave = np.sin(np.arange(32) * (0.3 if i % 2 else 0.9)) + 0.1 * rng.normal(size=32)
            lines.append(",".join(f"{v:.4f}" for v in wave) + (":a" if i % 2 else ":b"))
        (root / name / f"{name}_{part}.ts").write_text("\n".join(lines) + "\n")


def test_a_stopped_job_goes_on_and_gives_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    for name in ("BasicMotions", "Epilepsy"):
        write_set(tmp_path / "data", name, rng)
    words = ["--archive", "uea", "--root", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    words += ["--epochs", "1", "--svm-folds", "ordered", "--methods", "untrained"]
    done: list[str] = []
    real = classify.scores

    def counted(settings: classify.Settings, cell: classify.Cell) -> dict[str, object]:
        assert not settings.shuffle
        done.append(cell.title)
        return real(settings, cell)

    monkeypatch.setattr(classify, "scores", counted)
    classify.main([*words, "--seeds", "0"])
    classify.main([*words, "autotcl_without_h", "--seeds", "0", "1"])
    assert sorted(done) == sorted(set(done))
    assert len(done) == 2 * 2 * 2
    lines = (tmp_path / "out" / "table.md").read_text().splitlines()
    assert len(lines) == 2 + 2 * 2 + 2
    assert lines[2].startswith("| BasicMotions | untrained |")
    assert lines[-1].startswith("| mean of 2 | autotcl_without_h |")
    assert float(lines[2].split("|")[3].split("±")[0]) > 0.9


@pytest.mark.parametrize(("how", "width"), [("points", 1), ("blocks", classify.BLOCK)])
def test_a_share_of_the_steps_is_missing_in_every_channel(how: str, width: int) -> None:
    x = np.random.default_rng(0).normal(size=(6, 50, 2))
    hidden = classify.hide_steps(x, 0.4, how, np.random.default_rng(1))
    lost = np.isnan(hidden)
    assert lost.sum() == 0.4 * x.size
    np.testing.assert_array_equal(lost[..., 0], lost[..., 1])
    np.testing.assert_array_equal(hidden[~lost], x[~lost])
    blocks = lost[..., 0].reshape(6, -1, width)
    assert (blocks.all(axis=2) | ~blocks.any(axis=2)).all()
    alone = classify.hide_steps(x, 0.4, "points", np.random.default_rng(1))
    assert (how == "points") == np.array_equal(lost, np.isnan(alone))


def test_missing_steps_are_cells_of_their_own(tmp_path: Path) -> None:
    """A set that is not below the folder comes from the wheel."""
    write_set(tmp_path / "data", "Epilepsy", np.random.default_rng(0))
    words = ["--sets", "Epilepsy", "ItalyPowerDemand", "--root", str(tmp_path / "data")]
    words += ["--methods", "untrained", "--seeds", "0", "--out", str(tmp_path / "out")]
    classify.main(words)
    full = (tmp_path / "out" / "table.md").read_text()
    classify.main([*words, "--missing", "0.5"])
    assert (tmp_path / "out" / "table.md").read_text() != full
    assert len(list((tmp_path / "out" / "cells").iterdir())) == 4
    with pytest.raises(SystemExit):
        classify.main([*words, "--missing", "1.0"])


def test_ts2vec_is_trained_for_the_steps_of_its_script(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    class Recorder(classify.Representation):
        def fit(self, X: object, *rest: object) -> object:
            seen.update(self.get_params())
            self.max_steps = 3
            return super().fit(X, *rest)

    monkeypatch.setattr(classify, "Representation", Recorder)
    row = classify.scores(classify.Settings(), classify.Cell("BasicMotions", "ts2vec_published", 0))
    wanted = {"max_steps": 200, "batch_size": 8, "max_train_length": 3000}
    assert {name: seen[name] for name in wanted} == wanted
    assert row["SVM"] > 0.5
    assert classify.training("ts2vec_published", 1, 58, 200_000)["max_steps"] == 600


@pytest.mark.parametrize(("archive", "count"), [("uea", 30), ("ucr", 128)])
def test_an_archive_is_its_sets_below_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], archive: str, count: int
) -> None:
    for name in ("BasicMotions", "ItalyPowerDemand", "AsphaltRegularityCoordinates"):
        write_set(tmp_path, name, np.random.default_rng(0))
    wanted = {"uea": ["BasicMotions"], "ucr": ["ItalyPowerDemand"]}[archive]
    assert classify.sets_of(archive, tmp_path, download=False) == wanted
    assert f"1 of {count} sets" in capsys.readouterr().out
    with pytest.raises(DataError, match="--download"):
        classify.sets_of(archive, tmp_path / "empty", download=False)
