"""A seeded sample of damaged files; the 100,000 are ``python tests/reliability/fuzz.py``."""

from __future__ import annotations

import contextlib

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_loaders import from_frame
from data_loaders.ecg.records import read_record
from data_loaders.record_log import RecordError
from tests.reliability.fuzz import memory_error, run
from tests.reliability.fuzz_targets import TARGETS, shares
from tscl.errors import ConfigError, DataError, InputError
from tscl.runs.config import parse_yaml
from tscl.runs.jobs import check_job

QUICK = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
def test_damaged_files_give_named_errors_only(tmp_path):
    counts = shares(700, list(TARGETS))
    rows = run(counts, seed=2, first=0, place=tmp_path, report=lambda row: None)
    findings = {row["target"]: row["findings"] for row in rows if row["findings"]}
    assert findings == {}
    assert sum(row["inputs"] for row in rows) == 700
    assert sum(row["named"] for row in rows) > 200
    assert sum(row["read"] for row in rows) > 50


def test_the_watch_tells_a_memory_error_behind_a_named_one():
    with pytest.raises(DataError) as caught:
        try:
            raise MemoryError
        except MemoryError:
            raise DataError("file", "x", "mend it") from None
    assert memory_error(caught.value)
    assert not memory_error(DataError("file", "x", "mend it"))


NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(), st.sampled_from(["", "x", "1e999", "0x1", "9" * 400])
)


@QUICK
@given(
    fields=st.lists(NUMBERS, min_size=1, max_size=4),
    signal=st.lists(NUMBERS, min_size=0, max_size=8),
    name=st.text(max_size=40),
)
def test_any_wfdb_header_is_read_or_refused(tmp_path_factory, fields, signal, name):
    folder = tmp_path_factory.mktemp("wfdb")
    (folder / "x.dat").write_bytes(np.arange(100, dtype="<i2").tobytes())
    lines = [" ".join(["x", *map(str, fields)]), " ".join(["x.dat", "16", *map(str, signal)])]
    (folder / "x.hea").write_text("\n".join([*lines, f"# {name}"]), encoding="utf-8", newline="")
    try:
        record = read_record(folder / "x")
    except RecordError:
        return
    assert record.signal.nbytes < 10_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["job", "data", "train", "lr", "name", "out"]), inner)
    ),
    max_leaves=12,
)


@QUICK
@given(values=st.dictionaries(st.sampled_from(["job", "data", "train", "encoder", "x"]), JSON))
def test_any_configuration_is_taken_or_refused(values):
    with contextlib.suppress(InputError):
        assert check_job(values).to_yaml()


@QUICK
@given(text=st.text(alphabet="ab:-[]{}&*!|>?,#'\"\n 01.e\t%@", max_size=60))
def test_any_yaml_is_taken_or_refused(text):
    with contextlib.suppress(ConfigError):
        found = parse_yaml(text, "text")
        assert found == yaml.safe_load(text)


@QUICK
@given(
    times=st.lists(st.text(max_size=8) | st.datetimes().map(str), min_size=1, max_size=6),
    cells=st.lists(NUMBERS, min_size=6, max_size=6),
    irregular=st.sampled_from(["error", "fill", "allow"]),
)
def test_any_table_becomes_a_series_or_an_error(times, cells, irregular):
    frame = pd.DataFrame({"date": times, "OT": [str(one) for one in cells[: len(times)]]})
    try:
        made = from_frame(frame, irregular=irregular)
    except DataError:
        return
    assert np.isfinite(made.values).all()
