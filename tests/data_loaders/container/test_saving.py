import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_loaders import MedicalDataset, RecordLog, load_processed, save_processed
from data_loaders.container.windows import cut_windows
from tscl.errors import DataError, InputError


def small(**kwargs):
    rng = np.random.default_rng(1)
    log = RecordLog("demo")
    log.ok("a")
    log.skip("b", "flat_lead", "lead V1 is flat")
    return MedicalDataset(
        rng.normal(size=(6, 5, 2)), [0, 0, 1, 1, 0, 0], ["x", "x", "y", "y", "z", "z"],
        [1, 1, 2, 2, 3, 4], 128, label_names=["no", "yes"], channel_names=["I", "II"],
        name="demo", source={"task": "t"}, columns={"fold": range(6)}, log=log, **kwargs,
    )  # fmt: skip


@settings(max_examples=8, deadline=None)
@given(
    n=st.integers(1, 6), t=st.integers(1, 5), c=st.integers(1, 3), text=st.booleans(),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_save_load_round_trip(tmp_path_factory, n, t, c, text, seed):
    rng = np.random.default_rng(seed)
    patient = rng.integers(0, 3, n)
    data = MedicalDataset(
        rng.normal(size=(n, t, c)), rng.integers(-1, 2, n),
        [f"é{p}" for p in patient] if text else patient, np.arange(n), rng.uniform(1, 500, n),
        label_names=["a", "b"], allow_mixed_rates=True,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("round") / "d"
    data.save(folder)
    for in_memory in (False, True):
        back = MedicalDataset.load(folder, in_memory=in_memory)
        assert back.lazy is not in_memory
        np.testing.assert_array_equal(back.X, data.X)
        for field in ("label", "patient", "trial", "sampling_rate", "patient_index"):
            np.testing.assert_array_equal(getattr(back, field), getattr(data, field))
        assert repr(back).replace("; on disk", "") == repr(data)


def test_save_keeps_names_source_columns_and_log(tmp_path):
    data = small()
    data.save(tmp_path / "d")
    back = MedicalDataset.load(tmp_path / "d")
    assert (back.name, back.source, back.label_names) == ("demo", {"task": "t"}, ("no", "yes"))
    assert back.channel_names == ("I", "II")
    assert back.columns["fold"].tolist() == list(range(6))
    assert back.log.reasons() == {"flat_lead": 1}


def test_save_refuses_an_existing_folder_and_overwrites_in_one_step(tmp_path):
    data = small()
    data.save(tmp_path / "d")
    with pytest.raises(InputError, match="overwrite"):
        data.save(tmp_path / "d")
    lazy = MedicalDataset.load(tmp_path / "d")
    lazy.subset([4, 5], lazy=True).save(tmp_path / "d", overwrite=True)
    np.testing.assert_array_equal(MedicalDataset.load(tmp_path / "d").X, data.X[4:])
    assert os.listdir(tmp_path) == ["d"]


FOREIGN = {
    "a file more": lambda folder: (folder / "notes.txt").write_text("mine"),
    "a hidden file": lambda folder: (folder / ".git").mkdir(),
    "a folder of its name": lambda folder: (folder / "X.npz").mkdir(),
    "another dataset.json": lambda folder: (folder / "dataset.json").write_text('{"a": 1}'),
    "a damaged dataset.json": lambda folder: (folder / "dataset.json").write_text("{"),
    "no dataset.json": lambda folder: (folder / "dataset.json").unlink(),
}


def _held(folder):
    return {str(one.relative_to(folder)): one.is_file() for one in folder.rglob("*")}


@pytest.mark.parametrize("what", FOREIGN)
@pytest.mark.parametrize("form", ["npy", "npz"])
def test_overwrite_spares_a_folder_of_something_else(tmp_path, what, form):
    data = small()
    folder = data.save(tmp_path / "d")
    FOREIGN[what](folder)
    before = _held(folder)
    with pytest.raises(InputError, match=r"directory: got .*holds something else"):
        data.save(folder, overwrite=True, form=form)
    assert _held(folder) == before


def test_overwrite_takes_empty_folders_and_either_form(tmp_path):
    data = small()
    (tmp_path / "d").mkdir()
    for form in ("npy", "npz", "npy"):
        folder = data.save(tmp_path / "d", overwrite=True, form=form)
        assert len(list(folder.iterdir())) == 3
    for name in ("file", "link"):
        if name == "file":
            (tmp_path / name).write_text("mine")
        else:
            (tmp_path / name).symlink_to(tmp_path / "d")
        with pytest.raises(InputError, match="not a folder"):
            data.save(tmp_path / name, overwrite=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_processed_overwrite_spares_a_folder_of_something_else(tmp_path):
    data = small()
    folder = save_processed(data, tmp_path / "p")
    assert save_processed(data, folder, overwrite=True) == folder
    for extra in ("notes.txt", "Feature/notes.txt", "Label/other.npy", "Raw/one.npy"):
        (folder / extra).parent.mkdir(exist_ok=True)
        (folder / extra).write_text("mine")
        with pytest.raises(InputError, match="something else"):
            save_processed(data, folder, overwrite=True)
        assert (folder / extra).read_text() == "mine"
        (folder / extra).unlink()
        if extra.startswith("Raw"):
            (folder / "Raw").rmdir()
    saved = data.save(tmp_path / "d")
    with pytest.raises(InputError, match="something else"):
        save_processed(data, saved, overwrite=True)
    with pytest.raises(InputError, match="something else"):
        data.save(folder, overwrite=True)


def test_failed_save_leaves_nothing_behind(tmp_path, monkeypatch):
    data = small()
    data.save(tmp_path / "d")
    monkeypatch.setattr("data_loaders.container.saving.sha256_of", lambda path: 1 / 0)
    for target in ("d", "e"):
        with pytest.raises(ZeroDivisionError):
            data.save(tmp_path / target, overwrite=True)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["d"]
    assert len(MedicalDataset.load(tmp_path / "d")) == 6
    data.source["bad"] = object()
    with pytest.raises(InputError, match="source"):
        data.save(tmp_path / "f")


def _flip(path):
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 255
    path.write_bytes(bytes(raw))


def _meta(folder, **change):
    file = folder / "dataset.json"
    meta = json.loads(file.read_text())
    meta.update(change)
    file.write_text(json.dumps(meta))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda d: _flip(d / "X.npy"), "sha256"),
        (lambda d: _flip(d / "table.parquet"), "sha256"),
        (lambda d: (d / "X.npy").unlink(), "missing"),
        (lambda d: (d / "table.parquet").unlink(), "missing"),
        (lambda d: (d / "dataset.json").unlink(), "holds no dataset.json"),
        (lambda d: (d / "dataset.json").write_text("{"), "damaged"),
        (lambda d: (d / "dataset.json").write_text("[]"), "not a saved MedicalDataset"),
        (lambda d: _meta(d, version=2), "version: got 2"),
        (lambda d: _meta(d, format="zip"), "not a saved MedicalDataset"),
        (lambda d: _meta(d, shape=[6, 5, 3]), "do not fit"),
        (lambda d: _meta(d, sha256={}), "damaged"),
    ],
)
def test_load_names_the_damage(tmp_path, damage, says):
    small().save(tmp_path / "d")
    damage(tmp_path / "d")
    with pytest.raises(DataError, match=says):
        MedicalDataset.load(tmp_path / "d")


def test_load_without_verify_still_refuses_short_and_pickled_files(tmp_path):
    small().save(tmp_path / "d")
    file = tmp_path / "d" / "X.npy"
    whole = file.read_bytes()
    file.write_bytes(whole[:-8])
    with pytest.raises(DataError, match=r"232 bytes are less than shape \(6, 5, 2\) takes"):
        MedicalDataset.load(tmp_path / "d", verify=False)
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="values of type object are not read"):
        MedicalDataset.load(tmp_path / "d", verify=False, in_memory=True)


def test_npz_holds_the_same_and_names_its_damage(tmp_path):
    data = small()
    data.save(tmp_path / "d", form="npz")
    assert sorted(one.name for one in (tmp_path / "d").iterdir()) == [
        *("X.npz", "dataset.json", "table.parquet")
    ]
    back = MedicalDataset.load(tmp_path / "d")
    np.testing.assert_array_equal(back.X, data.X)
    assert back.log.reasons() == {"flat_lead": 1}
    assert not back.lazy
    with pytest.raises(InputError, match="npz"):
        data.save(tmp_path / "e", form="npx")
    file = tmp_path / "d" / "X.npz"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(DataError, match="sha256"):
        MedicalDataset.load(tmp_path / "d")
    with pytest.raises(DataError, match="not a readable"):
        MedicalDataset.load(tmp_path / "d", verify=False)


def test_processed_format_round_trip(tmp_path):
    data = small()
    save_processed(data, tmp_path / "p")
    assert sorted(os.listdir(tmp_path / "p" / "Feature")) == [
        "feature_01.npy", "feature_02.npy", "feature_03.npy"]  # fmt: skip
    np.testing.assert_array_equal(
        np.load(tmp_path / "p" / "Label" / "label.npy"), [[0, 1], [1, 2], [0, 3]]
    )
    back = load_processed(tmp_path / "p", 128, samples_per_trial=2, channel_names=["I", "II"])
    np.testing.assert_array_equal(back.X, data.X)
    assert back.patient.tolist() == [1, 1, 2, 2, 3, 3]
    assert len(np.unique(back.trial_index)) == 3
    assert back.label.tolist() == data.label.tolist()
    assert len(np.unique(load_processed(tmp_path / "p", 128).trial_index)) == 6


def test_processed_trials_are_cut_into_windows(tmp_path):
    data = small()
    save_processed(data, tmp_path / "p")
    cut = load_processed(tmp_path / "p", 128, window=2, overlap=0.5)
    assert cut.X.shape == (24, 2, 2)
    np.testing.assert_array_equal(cut.X[5], data.X[1, 1:3])
    assert cut.trial[:8].tolist() == ["1/0"] * 4 + ["1/1"] * 4


def test_processed_names_the_damage(tmp_path):
    data = small()
    with pytest.raises(InputError, match="one label"):
        save_processed(small()._with(index=np.arange(6)).concat([relabelled(data)]), tmp_path / "q")
    folder = save_processed(data, tmp_path / "p")
    (folder / "Feature" / "feature_02.npy").unlink()
    with pytest.raises(DataError, match=r"patients \[2\]"):
        load_processed(folder, 128)
    np.save(folder / "Feature" / "feature_02.npy", np.zeros((2, 5, 3)))
    with pytest.raises(DataError, match=r"feature_02.npy: got shape \(2, 5, 3\)"):
        load_processed(folder, 128)
    np.save(folder / "Label" / "label.npy", np.zeros((2, 3)))
    with pytest.raises(DataError, match="expected"):
        load_processed(folder, 128)
    with pytest.raises(DataError, match="missing"):
        load_processed(tmp_path / "none", 128)


def relabelled(data):
    return MedicalDataset(
        data.X, [0, 1, 1, 1, 0, 0], data.patient, data.trial, 128,
        label_names=data.label_names, channel_names=data.channel_names,
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12), st.floats(0, 0.95))
def test_cut_windows_against_slow_loop(n, length, window, overlap):
    trials = np.arange(n * length * 2, dtype=np.float32).reshape(n, length, 2)
    if window > length:
        with pytest.raises(InputError, match="window"):
            cut_windows(trials, window, overlap)
        return
    step = max(1, window - round(window * overlap))
    want = [
        one[start : start + window]
        for one in trials
        for start in range(0, length - window + 1, step)
    ]
    np.testing.assert_array_equal(cut_windows(trials, window, overlap), want)


def test_nine_half_overlapping_samples_of_a_five_second_trial():
    assert cut_windows(np.zeros((1, 1280, 1)), 256, 0.5).shape == (9, 256, 1)
    with pytest.raises(InputError, match="overlap"):
        cut_windows(np.zeros((1, 4, 1)), 2, 1.0)
