"""Round trips: tables, sktime panels, WFDB records, xarray, embeddings, series of any lengths."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_loaders import (
    MedicalDataset,
    embeddings_to_frame,
    embeddings_to_xarray,
    from_long,
    from_sktime,
    from_wfdb_record,
    from_wide,
    from_xarray,
    mask_after,
    pad_series,
    series_lengths,
    to_long,
    to_sktime,
    to_wide,
    to_xarray,
    unpad,
)
from tscl.errors import DataError, InputError

quick = settings(max_examples=30, deadline=None)
shapes = st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 4), st.integers(0, 99))


def dataset(n: int, steps: int, channels: int, seed: int, *, ragged: bool = True) -> MedicalDataset:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, steps, channels)).astype(np.float32)
    if ragged:
        X = mask_after(X, rng.integers(1, steps + 1, n))
        X[0] = rng.normal(size=(steps, channels))
    return MedicalDataset(
        X,
        rng.integers(0, 2, n),
        [f"p{i // 2}" for i in range(n)],
        np.arange(n) * 7,
        50.0,
        label_names=["no", "yes"],
        allow_nan=True,
    )


def same(a: MedicalDataset, b: MedicalDataset) -> None:
    np.testing.assert_array_equal(a.X, b.X)
    np.testing.assert_array_equal(a.label, b.label)
    np.testing.assert_array_equal(a.patient_index, b.patient_index)
    np.testing.assert_array_equal(a.trial_index, b.trial_index)
    np.testing.assert_allclose(a.sampling_rate, b.sampling_rate)


@quick
@given(shapes)
def test_wide(shape):
    n, steps, _, seed = shape
    data = dataset(n, steps, 1, seed)
    back = from_wide(
        to_wide(data), patient="patient", trial="trial", label="label", sampling_rate=50
    )
    np.testing.assert_array_equal(back.X, data.X)
    np.testing.assert_array_equal(back.label, data.label)
    assert back.patient.tolist() == data.patient.tolist()


@quick
@given(shapes)
def test_long_whatever_the_order_of_rows(shape):
    data = dataset(*shape)
    frame = to_long(data)
    assert len(frame) == series_lengths(data.X).sum()
    first = frame.drop_duplicates("sample").index
    others = frame.index.difference(first)
    rows = [*first, *np.random.default_rng(0).permutation(others)]
    back = from_long(
        frame.loc[rows],
        sample="sample",
        time="time",
        channels=list(data.channel_names),
        patient="patient",
        trial="trial",
        label="label",
        sampling_rate=50,
    )
    np.testing.assert_array_equal(back.X, data.X)
    np.testing.assert_array_equal(back.label, data.label)
    assert back.patient.tolist() == data.patient.tolist()


@quick
@given(shapes, st.sampled_from(["pd-multiindex", "numpy3D", "nested_univ"]))
def test_sktime_panels(shape, kind):
    X = dataset(*shape).X
    panel = to_sktime(X, kind)
    if kind == "numpy3D":
        assert panel.shape == (shape[0], shape[2], shape[1])
    back = from_sktime(panel)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, X)


def test_sktime_agrees_on_what_these_panels_are():
    from sktime.datatypes import check_is_mtype, convert

    X = dataset(4, 6, 3, 0, ragged=False).X
    for kind in ("pd-multiindex", "numpy3D", "nested_univ"):
        panel = to_sktime(X, kind)
        assert check_is_mtype(panel, kind, scitype="Panel")
        other = convert(panel, kind, "numpy3D", as_scitype="Panel")
        np.testing.assert_array_equal(other, X.transpose(0, 2, 1))


@quick
@given(shapes)
def test_padding_and_lengths(shape):
    X = dataset(*shape).X
    series = unpad(X)
    padded, lengths = pad_series(series)
    np.testing.assert_array_equal(padded, X)
    np.testing.assert_array_equal(lengths, series_lengths(X))
    np.testing.assert_array_equal(mask_after(X, lengths), X)
    assert [len(s) for s in unpad(X, lengths)] == lengths.tolist()


@quick
@given(shapes, st.integers(1, 3))
def test_embeddings_to_frames(shape, width):
    data = dataset(*shape)
    rng = np.random.default_rng(1)
    pooled = rng.normal(size=(len(data), width))
    frame = embeddings_to_frame(pooled, data)
    np.testing.assert_array_equal(frame.to_numpy(), pooled)
    assert frame.index.get_level_values("patient").tolist() == data.patient.tolist()
    steps = rng.normal(size=(len(data), data.n_timesteps, width))
    frame = embeddings_to_frame(steps, data)
    assert len(frame) == series_lengths(data.X).sum()
    for (_, trial, sample, time), row in zip(frame.index, frame.to_numpy(), strict=True):
        assert trial == data.trial[sample]
        np.testing.assert_array_equal(row, steps[sample, round(time * 50)])


@pytest.mark.parametrize("seed", range(5))
def test_xarray(seed):
    pytest.importorskip("xarray", reason="extra xarray is not installed")
    data = dataset(seed + 1, 6, 2, seed)
    array = to_xarray(data)
    assert array.dims == ("sample", "time", "channel")
    same(from_xarray(array), data)
    same(from_xarray(array.transpose("channel", "sample", "time"), sampling_rate=50), data)
    embeddings = np.arange(len(data) * 6 * 3.0).reshape(len(data), 6, 3)
    made = embeddings_to_xarray(embeddings, data)
    assert float(made.sel(time=0.04, embedding="embedding1", sample=0)) == embeddings[0, 2, 1]
    assert made.coords["patient"].values.tolist() == data.patient.tolist()
    assert embeddings_to_xarray(embeddings[:, 0], data).dims == ("sample", "embedding")
    with pytest.raises(InputError, match="patient"):
        from_xarray(array.drop_vars("patient"))
    with pytest.raises(InputError, match="dimensions"):
        from_xarray(array.isel(time=0))
    with pytest.raises(InputError, match="uneven"):
        from_xarray(array.isel(time=[0, 1, 4]))


def test_wfdb_record_from_memory_and_from_disk(tmp_path):
    import wfdb

    signal = np.round(np.random.default_rng(0).normal(size=(100, 2)), 2)
    wfdb.wrsamp(
        "r1",
        fs=50,
        units=["mV", "mV"],
        sig_name=["I", "II"],
        p_signal=signal,
        fmt=["16", "16"],
        write_dir=str(tmp_path),
    )
    for physical in (True, False):
        record = wfdb.rdrecord(str(tmp_path / "r1"), physical=physical)
        data = from_wfdb_record(record, patient="p1", label="ill", window=40, overlap=0.5)
        assert data.X.shape == (4, 40, 2)
        np.testing.assert_allclose(data.X[1], signal[20:60], atol=1e-3)
        assert (data.channel_names, data.sampling_rate[0]) == (("I", "II"), 50.0)
        assert set(data.trial) == {"p1/r1"}
    one = from_wfdb_record(record, patient="p1", leads=["II"])
    np.testing.assert_allclose(one.X[0, :, 0], signal[:, 1], atol=1e-3)
    with pytest.raises(InputError, match="did you mean"):
        from_wfdb_record(record, patient="p1", leads=["III"])
    with pytest.raises(InputError, match="signal"):
        from_wfdb_record(wfdb.rdheader(str(tmp_path / "r1")), patient="p1")


LONG = pd.DataFrame({"id": [1, 1, 2], "t": [0, 1, 0], "v": [0.0, 1.0, 2.0], "who": ["a", "a", "b"]})
KEYS = {"sample": "id", "time": "t", "channels": ["v"], "patient": "who", "sampling_rate": 1.0}


def test_bad_tables_are_named():
    assert from_long(LONG, **KEYS).X.shape == (2, 2, 1)
    for change, kind, match in (
        (LONG.assign(t=[0, 0, 0]), DataError, "0 twice in sample 1"),
        (LONG.assign(who=["a", "b", "b"]), DataError, "several in sample 1"),
        (LONG.assign(t=[0, None, 0]), DataError, "missing"),
        (LONG.assign(v=["x", "y", "z"]), InputError, "pass numbers"),
        (LONG.drop(columns="who"), InputError, "who"),
        (LONG.iloc[:0], DataError, "no rows"),
    ):
        with pytest.raises(kind, match=match):
            from_long(change, **KEYS)
    with pytest.raises(InputError, match="patient"):
        from_wide(pd.DataFrame({"pat": [1], "t0": [0.0]}), patient="patient", sampling_rate=1)
    with pytest.raises(InputError, match="choose 0 to 0"):
        to_wide(dataset(2, 3, 1, 0), channel=1)


def test_bad_panels_and_codes_are_named():
    with pytest.raises(DataError, match="channels, time"):
        from_sktime(np.zeros((3, 4)))
    with pytest.raises(DataError, match="pd-multiindex"):
        from_sktime([1, 2])
    with pytest.raises(DataError, match="cells must be series"):
        from_sktime(pd.DataFrame({"a": [1.0, 2.0]}))
    uneven = pd.DataFrame({"a": [pd.Series([1.0, 2.0])], "b": [pd.Series([1.0])]})
    with pytest.raises(DataError, match="several lengths"):
        from_sktime(uneven)
    with pytest.raises(InputError, match="numpy3D"):
        to_sktime(np.zeros((1, 2, 1)), "numpy2D")
    with pytest.raises(InputError, match="holds no value"):
        to_sktime(np.full((1, 2, 1), np.nan))
    with pytest.raises(InputError, match="D"):
        embeddings_to_frame(np.zeros((3, 2)), dataset(2, 3, 1, 0))
    for series, match in (
        ([], "none"),
        ([np.zeros((2, 1)), np.zeros((2, 2))], "equal channels"),
        ([np.zeros((0, 1))], "n_timesteps"),
        (["a"], "numbers"),
    ):
        with pytest.raises(DataError, match=match):
            pad_series(series)
    for lengths in ([1], [0, 1], [1, 9], [1.5, 1]):
        with pytest.raises(DataError, match="whole numbers"):
            mask_after(np.zeros((2, 3, 1)), lengths)


RATES = [100.0, 128.0, 173.61, 250.0, 256.0, 360.0, 1000.0, 0.1, 1 / 3, 1000 / 3, 499.907, 44100.0]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("steps", [2, 7, 3000])
def test_xarray_gives_rate_and_names_back(rate, steps):
    pytest.importorskip("xarray", reason="extra xarray is not installed")
    ids = ["a", "b", "c"]
    X = np.zeros((3, steps, 1))
    data = MedicalDataset(X, [0, -1, 1], ids, ids, rate, label_names=["no", "yes", "other"])
    back = from_xarray(to_xarray(data))
    assert back.sampling_rate[0] == pytest.approx(rate, rel=1e-14)
    assert back.label_names == data.label_names
    assert back.label.tolist() == [0, -1, 1]
    other = MedicalDataset(X, data.label, [1, 2, 3], [1, 2, 3], rate, label_names=data.label_names)
    assert len(set(other.concat([back]).sampling_rate.tolist())) == 1
    unlabelled = from_xarray(to_xarray(MedicalDataset(X, None, ids, ids, rate)))
    assert (unlabelled.label.tolist(), unlabelled.label_names) == ([-1] * 3, ())


@pytest.mark.parametrize("names", [["no"], ["no", "yes"], ["never, at all", "é"], None])
def test_xarray_by_way_of_a_netcdf_file(tmp_path, names):
    xarray = pytest.importorskip("xarray", reason="extra xarray is not installed")
    label = None if names is None else [0, -1]
    data = MedicalDataset(np.zeros((2, 5, 1)), label, ["a", "b"], [1, 2], 100.0, label_names=names)
    to_xarray(data).to_netcdf(tmp_path / "one.nc", engine="scipy")
    back = from_xarray(xarray.load_dataarray(tmp_path / "one.nc", engine="scipy"))
    assert back.label_names == data.label_names
    assert back.label.tolist() == data.label.tolist()
    assert back.sampling_rate.tolist() == [100.0, 100.0]


def test_xarray_label_names_of_others():
    pytest.importorskip("xarray", reason="extra xarray is not installed")
    array = to_xarray(dataset(2, 6, 1, 0))
    array.coords["label"].attrs["label_names"] = ["a", "b", "c"]
    assert from_xarray(array).label_names == ("a", "b", "c")
    for bad in ("no yes", '"no"', 3):
        array.coords["label"].attrs["label_names"] = bad
        with pytest.raises(InputError, match=r"label_names: got .*; give a list"):
            from_xarray(array)


def test_round_rates_come_back_as_they_were():
    pytest.importorskip("xarray", reason="extra xarray is not installed")
    for rate in (100.0, 173.61, 250.0, 360.0, 499.907):
        data = MedicalDataset(np.zeros((1, 997, 1)), None, [1], [1], rate)
        assert from_xarray(to_xarray(data)).sampling_rate.tolist() == [rate]


def test_xarray_times_of_other_units():
    pytest.importorskip("xarray", reason="extra xarray is not installed")
    array = to_xarray(dataset(2, 6, 1, 0))
    step = np.arange(6)
    for times, units in (
        (step * 20, "ms"),
        (step * 20e-3, "s"),
        (step * 20e-3, None),
        (step * 20_000, "us"),
        (step.astype("timedelta64[ms]") * 20, None),
        (np.datetime64("2020-01-01", "ns") + step.astype("timedelta64[ms]") * 20, None),
    ):
        attrs = {} if units is None else {"units": units}
        made = array.assign_coords(time=("time", times, attrs))
        assert from_xarray(made).sampling_rate.tolist() == [50.0, 50.0], units
    odd = array.assign_coords(time=("time", step, {"units": "fortnights"}))
    with pytest.raises(InputError, match=r"time\.units: got fortnights"):
        from_xarray(odd)
    assert from_xarray(odd, sampling_rate=50).sampling_rate[0] == 50
    with pytest.raises(InputError, match="uneven"):
        from_xarray(array.assign_coords(time=step.astype("timedelta64[s]")[::-1]))


def test_rates_that_differ_by_rounding_are_one():
    near = np.nextafter(100.0, 101.0)
    data = MedicalDataset(np.zeros((2, 2, 1)), None, [1, 2], [1, 2], [100.0, near])
    assert data.sampling_rate.tolist() == [100.0, 100.0]
    with pytest.raises(InputError, match="mixed rates"):
        MedicalDataset(np.zeros((2, 2, 1)), None, [1, 2], [1, 2], [100.0, 100.00001])


def test_objects_of_other_types_are_named():
    xarray = pytest.importorskip("xarray", reason="extra xarray is not installed")
    data = dataset(2, 3, 1, 0)
    whole = xarray.Dataset({"ecg": to_xarray(data)})
    with pytest.raises(InputError, match=r"array: got Dataset; pass an xarray.DataArray.*'ecg'"):
        from_xarray(whole)
    with pytest.raises(InputError, match="array: got ndarray; pass an"):
        from_xarray(data.X)
    assert embeddings_to_frame([[1.0, 2.0], [3.0, 4.0]], data).shape == (2, 2)
    for embeddings in ([1.0, 2.0], [[1.0], [2.0, 3.0]], ["a", "b"], None, [["a"], ["b"]]):
        with pytest.raises(InputError, match=r"embeddings: got .*; pass \(2, D\) or \(2, 3, D\)"):
            embeddings_to_frame(embeddings, data)
        with pytest.raises(InputError, match="embeddings: got"):
            embeddings_to_xarray(embeddings, data)
    with pytest.raises(InputError, match="data: got ndarray; pass the MedicalDataset"):
        embeddings_to_frame(np.zeros((2, 2)), data.X)


def test_bad_wfdb_records_are_named():
    import wfdb

    def record(**change):
        fields = {"record_name": "r", "n_sig": 2, "fs": 250, "sig_name": ["I", "II"]}
        return wfdb.Record(**(fields | {"p_signal": np.zeros((10, 2))} | change))

    assert from_wfdb_record(record(), patient=1).channel_names == ("I", "II")
    for change, match in (
        ({"fs": None}, r"record\.fs: got None; set it"),
        ({"fs": 0}, r"record\.fs: got 0; set it"),
        ({"fs": "250"}, r"record\.fs: got 250; set it"),
        ({"sig_name": None}, r"record\.sig_name: got None; name each of the 2"),
        ({"sig_name": ["I"]}, r"record\.sig_name: got \['I'\]; name each of the 2"),
    ):
        with pytest.raises(InputError, match=match):
            from_wfdb_record(record(**change), patient=1)
    with pytest.raises(InputError, match="leads: got 'II'; give a list of names, such as"):
        from_wfdb_record(record(), patient=1, leads="II")
    with pytest.raises(InputError, match="record: got ndarray"):
        from_wfdb_record(np.zeros((10, 2)), patient=1)
