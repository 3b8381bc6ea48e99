import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_loaders import ChannelStats, MedicalDataset, RecordLog
from data_loaders.container.rows import RowView
from tscl.errors import InputError


def make(n=12, t=8, c=2, **kwargs):
    rng = np.random.default_rng(0)
    given_ = {
        "label": np.arange(n) % 2,
        "patient": [f"p{i // 4}" for i in range(n)],
        "trial": [f"p{i // 4}t{i // 2}" for i in range(n)],
        "sampling_rate": 100,
    }
    given_.update(kwargs)
    X = given_.pop("X", rng.normal(2.0, 3.0, (n, t, c)))
    return MedicalDataset(X, **given_)


def test_container_holds_codes_names_and_table():
    data = make(label=["b", "a"] * 6, columns={"strat_fold": np.arange(12)})
    assert data.X.dtype == np.float32
    assert len(data) == 12
    assert data.label_names == ("a", "b")
    assert data.label[:3].tolist() == [1, 0, 1]
    assert data.patient_index.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert data.trial_index.tolist() == [i // 2 for i in range(12)]
    assert list(data.table) == ["label", "patient", "trial", "sampling_rate", "strat_fold"]
    assert "12 samples x 8 steps x 2 channels at 100 Hz, 3 patients, 6 trials" in repr(data)


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"X": np.zeros((12, 8))}, "X", "shape (12, 8)"),
        ({"X": np.zeros((0, 8, 2))}, "X", "shape (0, 8, 2)"),
        ({"X": np.full((12, 8, 2), "a")}, "X", "dtype"),
        ({"X": np.full((12, 8, 2), 1e300)}, "X", "192 NaN or infinite"),
        ({"label": [0] * 11}, "label", "shape (11,)"),
        ({"label": [0.5] * 12}, "label", "dtype float64"),
        ({"label": [np.nan] * 12}, "label", "dtype float64"),
        ({"label": [-2] * 12}, "label", "-2"),
        ({"label": [3] * 12, "label_names": ["a", "b"]}, "label", "3"),
        ({"label": ["x"] * 12, "label_names": ["a", "b"]}, "label", "x"),
        ({"label_names": ["a", "a"]}, "label_names", "different"),
        ({"patient": ["p"] * 5}, "patient", "shape (5,)"),
        ({"patient": [None] * 12}, "patient", "missing"),
        ({"patient": [1.5] * 12}, "patient", "whole"),
        ({"patient": [np.nan] * 12}, "patient", "missing"),
        ({"trial": [0] * 12}, "trial", "two patients"),
        ({"trial_scope": "none"}, "trial_scope", "none"),
        ({"sampling_rate": 0}, "sampling_rate", "0.0"),
        ({"sampling_rate": [100] * 6 + [200] * 6}, "sampling_rate", "mixed rates"),
        ({"channel_names": ["a"]}, "channel_names", "2 different names"),
        ({"channel_names": ["a", "a"]}, "channel_names", "2 different names"),
        ({"columns": {"fold": [1]}}, "columns['fold']", "12"),
        ({"columns": {"patient": [1] * 12}}, "columns", "taken"),
    ],
)
def test_container_names_the_bad_field(change, field, says):
    with pytest.raises(InputError) as caught:
        make(**change)
    assert caught.value.field == field
    assert says in str(caught.value)


def test_container_counts_non_finite_and_names_first_sample():
    X = np.zeros((12, 8, 2))
    X[5, 3, 1] = np.nan
    X[9, 0, 0] = np.inf
    with pytest.raises(InputError, match=r"2 NaN or infinite values, first in sample 5 \(patient"):
        make(X=X)
    with pytest.raises(InputError, match="1 infinite values, first in sample 9"):
        make(X=X, allow_nan=True)
    X[9] = 0
    assert np.isnan(make(X=X, allow_nan=True).X).sum() == 1


def test_container_accepts_float_patient_ids_and_local_trials():
    data = make(patient=np.repeat([15709.0, 2.0, 3.0], 4), trial=[0, 0, 1, 1] * 3,
                trial_scope="patient")  # fmt: skip
    assert data.patient.dtype == np.int64
    assert data.trial[0] == "15709/0"
    assert len(np.unique(data.trial_index)) == 6


def test_container_mixed_rates_when_allowed():
    data = make(sampling_rate=[100] * 6 + [200] * 6, allow_mixed_rates=True)
    assert "100/200 Hz" in repr(data)


def test_container_without_labels():
    data = make(label=None)
    assert set(data.label) == {-1}
    assert data.describe().columns.tolist() == ["trials", "samples", "unlabelled"]


def test_container_subset_and_by_patient():
    data = make(columns={"fold": np.arange(12)})
    part = data.subset([5, 0])
    np.testing.assert_array_equal(part.X, data.X[[5, 0]])
    assert part.columns["fold"].tolist() == [5, 0]
    assert part.patient_index.tolist() == [1, 0]
    np.testing.assert_array_equal(data.subset([-1]).X, data.X[[11]])
    assert data.by_patient("p1").columns["fold"].tolist() == [4, 5, 6, 7]
    assert len(data.by_patient(["p0", "p2"])) == 8
    assert len(make(patient=np.repeat([7, 8, 9], 4)).by_patient(8)) == 4
    for bad in ([], [12], [True] * 3, [0.5]):
        with pytest.raises(InputError):
            data.subset(bad)
    with pytest.raises(InputError, match="p9"):
        data.by_patient("p9")


def test_container_lazy_subset_reads_rows_when_indexed(tmp_path):
    data = make()
    data.save(tmp_path / "d")
    disk = MedicalDataset.load(tmp_path / "d")
    assert disk.lazy
    part = disk.subset([3, 1, 8], lazy=True).subset([2, 0], lazy=True)
    assert isinstance(part.X, RowView)
    np.testing.assert_array_equal(np.asarray(part.X), data.X[[8, 3]])
    np.testing.assert_array_equal(part.X[1], data.X[3])
    np.testing.assert_array_equal(part.X[:, 2:4, 0], data.X[[8, 3], 2:4, 0])
    np.testing.assert_array_equal(part.X[0, 2], data.X[8, 2])
    assert part.standardize("sample").X.shape == (2, 8, 2)


def test_container_describe_counts():
    data = make(label_names=["no", "yes"])
    counts = data.describe()
    assert counts.loc["p1"].to_dict() == {"trials": 2, "samples": 4, "no": 2, "yes": 2}
    assert data.describe("label").loc["yes"].to_dict() == {
        "patients": 3, "trials": 6, "samples": 6}  # fmt: skip
    with pytest.raises(InputError):
        data.describe("moon")


def test_standardize_by_trial_and_sample_against_slow_loop():
    data = make()
    for per, unit in (("trial", data.trial_index), ("sample", np.arange(12))):
        out = data.standardize(per).X
        for one in np.unique(unit):
            block = data.X[unit == one].astype(np.float64)
            want = (block - block.mean(axis=(0, 1))) / block.std(axis=(0, 1))
            np.testing.assert_allclose(out[unit == one], want, atol=1e-5)
    with pytest.raises(InputError, match="'trial', 'sample'"):
        data.standardize("patient")


def test_standardize_constant_channel_and_nan():
    X = np.random.default_rng(0).normal(size=(12, 8, 2)).astype(np.float32)
    X[..., 1] = 0.1
    X[0, 0, 0] = np.nan
    out = make(X=X, allow_nan=True).standardize("trial").X
    assert np.isnan(out).sum() == 1
    assert np.abs(out[..., 1]).max() < 1e-3


def test_channel_stats_come_from_training_patients_only():
    data = make()
    train = data.by_patient(["p0", "p1"])
    stats = ChannelStats.fit(train)
    np.testing.assert_allclose(stats.mean, train.X.mean(axis=(0, 1), dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(stats.std, train.X.std(axis=(0, 1), dtype=np.float64), rtol=1e-6)
    assert stats.patients == ("p0", "p1")
    out = data.standardize(stats)
    np.testing.assert_allclose(out.X, (data.X - stats.mean) / stats.std, rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="channels"):
        make(c=3).standardize(stats)
    with pytest.raises(InputError, match="ch1"):
        X = np.zeros((12, 8, 2))
        X[..., 1] = np.nan
        ChannelStats.fit(make(X=X, allow_nan=True))


def test_hash_patients_hides_ids_and_keeps_structure():
    data = make(columns={"record": [f"r{i}" for i in range(12)], "strat_fold": [1] * 12})
    one, two = data.hash_patients("salt-salt"), data.hash_patients("other-salt")
    text = one.table.to_csv() + one.describe().to_csv()
    assert "p0" not in text
    assert "r1," not in text
    assert list(one.columns) == ["strat_fold"]
    assert not set(one.patient) & set(two.patient)
    assert set(one.patient) == set(data.hash_patients("salt-salt").patient)
    for field in ("patient", "trial"):
        pairs = set(zip(getattr(data, field), getattr(one, field), strict=True))
        assert len(pairs) == len(set(getattr(data, field))) == len(set(getattr(one, field)))
    with pytest.raises(InputError, match="salt"):
        data.hash_patients("short")


def test_hashed_data_keep_the_log_without_names():
    log = RecordLog("demo")
    log.ok("Doe_Jane")
    log.skip("Roe_Jane", "flat_lead", "same lead as Doe_Jane")
    hidden = make(log=log).hash_patients("salt-salt").log
    assert hidden.reasons() == {"flat_lead": 1}
    assert len(hidden) == 2
    assert "Jane" not in str(hidden.as_dict())
    assert hidden.lines[0].record != hidden.lines[1].record


def test_concat_joins_the_logs():
    one, other = RecordLog("a"), RecordLog("b")
    one.ok("1")
    other.skip("2", "flat_lead", "x")
    joined = MedicalDataset.concat([make(log=one), make(name="o", log=other)], prefix=True).log
    assert [line.record for line in joined.lines] == ["1", "2"]


def test_concat_checks_parts_and_ids():
    a, b = make(), make(name="other")
    with pytest.raises(InputError, match="two parts"):
        MedicalDataset.concat([a, b])
    both = MedicalDataset.concat([a, b], prefix=True)
    assert len(both) == 24
    assert len(np.unique(both.patient)) == 6
    assert both.patient[0] == "dataset:p0"
    np.testing.assert_array_equal(both.X[12:], b.X)
    ints = make(patient=np.repeat([1, 2, 3], 4), trial=np.arange(12))
    assert MedicalDataset.concat([a, ints]).patient[12] == "1"
    for other in (make(t=9), make(c=3), make(label=["a", "b"] * 6)):
        with pytest.raises(InputError, match="parts"):
            MedicalDataset.concat([a, other], prefix=True)
    with pytest.raises(InputError, match="mixed rates"):
        MedicalDataset.concat([a, make(sampling_rate=50, name="x")], prefix=True)


def test_plot_patient_draws_each_sample_of_each_trial():
    data = make(channel_names=["I", "II"])
    figure = data.plot_patient("p1", channel="II")
    assert len(figure.axes) == 2
    assert [len(axis.lines) for axis in figure.axes] == [2, 2]
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), data.X[4, :, 1])
    assert len(data.plot_patient("p1", max_trials=1).axes) == 1
    for bad in ("V9", 2):
        with pytest.raises(InputError, match="channel"):
            data.plot_patient("p1", channel=bad)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", "7"]), min_size=1, max_size=12))
def test_codes_do_not_depend_on_the_spelling_of_ids(names):
    n = len(names)
    X = np.zeros((n, 3, 1))
    text = MedicalDataset(X, None, names, range(n), 1)
    numbers = {"7": 1, "a": 2, "b": 3, "c": 4}
    ints = MedicalDataset(X, None, [numbers[one] for one in names], range(n), 1)
    np.testing.assert_array_equal(text.patient_index, ints.patient_index)
    assert pd.api.types.is_integer_dtype(ints.patient)


def test_trials_of_two_patients_stay_two_whatever_their_names_hold():
    X, given_ = np.zeros((4, 5, 1)), {"sampling_rate": 1.0, "trial_scope": "patient"}
    patient, trial = ["a", "a/b", "a", "a\\/b"], ["b/c", "c", "b/c", "c"]
    data = MedicalDataset(X, None, patient=patient, trial=trial, **given_)
    assert data.trial_index[0] == data.trial_index[2]
    assert len(set(data.trial_index.tolist())) == 3
    plain = MedicalDataset(X, None, patient=["a", "a/b"] * 2, trial=[1, 1, 2, 2], **given_)
    assert plain.trial.tolist() == ["a/1", "a/b/1", "a/2", "a/b/2"]


def test_a_class_called_like_a_count_is_told_apart():
    data = MedicalDataset(
        np.zeros((4, 5, 1)), ["trials", "b"] * 2, [0, 0, 1, 1], [0, 1, 2, 3], sampling_rate=1.0
    )
    described = data.describe()
    assert list(described.columns) == ["trials", "samples", "b", "label trials"]
    assert described["trials"].tolist() == [2, 2]
    assert described["label trials"].tolist() == [1, 1]
