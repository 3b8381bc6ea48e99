"""Recipes of the papers start: small files of each format are read, split and trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data_loaders.eeg.tdbrain import CHANNELS
from tests.data_loaders.ecg.test_ptb import MI, WELL, add
from tests.data_loaders.eeg.test_tdbrain import write_derivative
from tests.data_loaders.eeg_writers import brainlike, write_brainvision
from tests.data_loaders.test_processed_public import write_public
from tscl.runs.clinical.config import ClinicalConfig
from tscl.runs.clinical.run import ClinicalRun
from tscl.runs.config import read_values
from tscl.runs.forecasting.config import RunConfig
from tscl.runs.forecasting.run import ForecastingRun
from tscl.runs.jobs import check_job
from tscl.runs.study.config import load_study
from tscl.runs.study.study import Study, settings_of

RECIPES = Path(__file__).parents[2] / "recipes"


# -- COMET ----------------------------------------------------------------------------------------


def processed(folder: Path, patients: int, steps: int, channels: int) -> Path:
    """The authors' arrays: one trial a patient, every other one ill."""
    rng = np.random.default_rng(0)
    trials = {n: rng.normal(size=(1, steps, channels)) for n in range(1, patients + 1)}
    return write_public(folder, trials, {n: n % 2 for n in trials})


def ptb_records(folder: Path) -> Path:
    """Fourteen patients of a trial each."""
    for n in range(1, 15):
        add(folder, f"patient{n:03d}", f"s{n:04d}_re", MI if n % 2 else WELL, n)
    names = [f"patient{n:03d}/s{n:04d}_re" for n in range(1, 15)]
    (folder / "RECORDS").write_text("\n".join(names) + "\n")
    return folder


def tdbrain_recordings(folder: Path) -> Path:
    """Fourteen people of a pseudo-trial each."""
    people = {f"sub-{n}": "PARKINSON" if n % 2 else "HEALTHY" for n in range(1, 15)}
    for n, person in enumerate(people):
        path = folder / person / "ses-1" / "eeg" / f"{person}_ses-1_task-restEC_eeg.vhdr"
        signal = brainlike(5_100, len(CHANNELS), seed=n, rate=500)
        write_brainvision(path, signal, list(CHANNELS), 500)
    table = pd.DataFrame({"participants_ID": [*people], "indication": [*people.values()]})
    table.to_csv(folder / "participants.tsv", sep="\t", index=False)
    return folder


FEW = {"train": [1, 17, 29, 45], "valid": [21, 49], "test": [22, 53]}
"""Of the lists of TDBRAIN, whose other people have no table here."""


def tdbrain_tables(folder: Path) -> Path:
    """The people that ``label.npy`` numbers up to the last one of a list; tables of eight."""
    people = {f"sub-{n}": "HEALTHY" if n <= 28 else "PARKINSON" for n in range(1, 54)}
    write_derivative(folder, {"sub-1": "HEALTHY"})
    table = pd.DataFrame({"participants_ID": [*people], "indication": [*people.values()]})
    table.to_csv(folder / "TDBRAIN_participants_V2.tsv", sep="\t", index=False)
    first = "sub-1/ses-1/eeg/sub-1_ses-1_task-restEC_eeg.csv"
    names, *rows = (folder / first).read_text().splitlines()
    for n in [*FEW["train"][1:], *FEW["valid"], *FEW["test"]]:
        # begun at another row: copies of a recording are refused
        path = folder / first.replace("sub-1", f"sub-{n}")
        path.parent.mkdir(parents=True)
        path.write_text("\n".join([names, *rows[15 * n :]]) + "\n")
    return folder


COMET = {  # files, and samples of the parts
    "ad": (lambda folder: processed(folder, 23, 1280, 16), (19 * 9, 2 * 9, 2 * 9)),
    "ad_public": (lambda folder: processed(folder, 23, 1280, 16), (19 * 9, 2 * 9, 2 * 9)),
    "ptb": (ptb_records, (10 * 10, 2 * 10, 2 * 10)),
    "ptb_public": (lambda folder: processed(folder, 198, 3000, 15), (1420, 280, 280)),
    "tdbrain": (tdbrain_recordings, (10 * 19, 2 * 19, 2 * 19)),
    # four pseudo-trials of the first person's two sessions, two of the others
    "tdbrain_public": (tdbrain_tables, (19 * 2 * 5, 19 * 2 * 2, 19 * 2 * 2)),
    "uci_eeg_public": (lambda folder: processed(folder, 20, 256, 61), (12 * 3, 4 * 3, 4 * 3)),
}


@pytest.mark.parametrize("name", COMET)
def test_a_recipe_of_comet_starts(name: str, tmp_path: Path) -> None:
    write, sizes = COMET[name]
    values = read_values(RECIPES / "comet" / f"{name}.yaml")
    values["out"] = str(tmp_path / "run")
    values["data"]["root"] = str(write(tmp_path / "data"))
    values["encoder"]["params"] |= {"output_dims": 4, "hidden_dims": 2, "depth": 1}
    values["train"] |= {"max_steps": 1, "batch_size": 32, "repeats": 1, "select": "last"}
    if name == "tdbrain_public":
        values["split"]["params"]["ids"] = FEW
    config = check_job(values)
    assert isinstance(config, ClinicalConfig)
    run = ClinicalRun(config)
    parts = run.folds[0].parts
    assert tuple(len(parts[part]) for part in ("train", "valid", "test")) == sizes
    if run.data.log is not None:
        missing = {"missing_signal": 53 - 8} if name == "tdbrain_public" else {}
        assert run.data.log.reasons() == missing
    run.begin(resume=False)
    run.train(run.row("comet"), run.folds[0])
    assert list((tmp_path / "run").rglob("encoder.safetensors"))


# -- forecasting ----------------------------------------------------------------------------------

ETT = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
LORA = (
    *("gw1-lp-RSSI2", "gw1-lp-SNR2", "gw2-lp-RSSI1", "gw2-lp-SNR1"),
    *("gw1-lp-BER2", "gw1-lp-PRR2", "gw2-lp-BER1", "gw2-lp-PRR1"),
)
FILES: dict[str, tuple[int, str, str, tuple[str, ...]]] = {  # rows, step, time column, columns
    "etth1": (14_400, "1h", "date", ETT),
    "etth2": (14_400, "1h", "date", ETT),
    "ettm1": (57_600, "15min", "date", ETT),
    "electricity": (6_000, "1h", "date", ("MT_000", "MT_001", "MT_320")),
    "wth": (15_000, "1h", "date", ("Visibility", "DryBulbCelsius", "WetBulbCelsius")),
    "lora": (6_000, "1h", "time", LORA),
    "ecl": (15_000, "1h", "date", ("MT_000", "MT_001", "MT_320")),
    "solar": (15_000, "10min", "date", ("POWER_0", "POWER_1", "POWER_136")),
}


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A file of every set, with its columns and as long as its split and horizons need."""
    folder, files = tmp_path_factory.mktemp("series"), {}
    for name, (rows, step, time, columns) in FILES.items():
        angles = np.arange(rows)[:, None] / np.arange(3, 3 + len(columns))
        frame = pd.DataFrame(np.sin(angles).round(4), columns=list(columns))
        frame.insert(0, time, pd.date_range("2016-07-01", periods=rows, freq=step))
        frame.to_csv(folder / f"{name}.csv", index=False)
        files[name] = str(folder / f"{name}.csv")
    return files


AUTOTCL = sorted(
    path.stem for kind in ("paper", "public") for path in RECIPES.glob(f"autotcl/*_{kind}.yaml")
)


@pytest.mark.parametrize("name", AUTOTCL)
def test_a_recipe_of_autotcl_starts(name: str, series: dict[str, str], tmp_path: Path) -> None:
    key, form, _ = name.rsplit("_", 2)
    values = read_values(RECIPES / "autotcl" / f"{name}.yaml")
    values["out"] = str(tmp_path / "run")
    values["data"]["path"] = series[key]
    values["encoder"]["params"] |= {"output_dims": 4, "hidden_dims": 2, "depth": 1}
    values["method"]["params"] |= {"aug_hidden": 2, "aug_dim": 2, "aug_depth": 1}
    values["train"] |= {"max_steps": 1, "batch_size": 8}
    config = check_job(values)
    assert isinstance(config, RunConfig)
    run = ForecastingRun(config)
    columns = len(FILES[key][3])
    wanted = {"uni": (1, 7 + 1), "multi": (columns, 7 + columns)}[form]
    if name.startswith("electricity_multi"):  # every client a series with the calendar
        wanted = (columns, 7 + 1)
        assert len(run.source()) >= 2 * columns
    assert (len(run.data.series.target_index), run.data.width) == wanted
    history: list[dict[str, Any]] = run.train("autotcl").history
    assert len(history) == 1
    assert np.isfinite(list(history[0].values())).all()


STUDIES = sorted(path.stem.removesuffix("_public") for path in RECIPES.glob("e2e/*_public.yaml"))


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_of_the_public_code_starts(name: str, series: dict[str, str]) -> None:
    study = Study(
        load_study(RECIPES / "e2e" / f"{name}_public.yaml", [f"data.path={series[name]}"])
    )
    assert len(study.cells) == 5 * 3 * (1 + 4 * (1 + 2 * 3))
    assert len(study.data.series.target_index) == len(FILES[name][3])
    lengths = {cell.horizon: settings_of(study.config, cell).length for cell in study.cells}
    assert lengths == {horizon: study.config.lengths[horizon] for horizon in study.config.horizons}
