"""The job over archives of classification sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recipes.autotcl import classify


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
