import json
import pickle

import pandas as pd
import pytest

from data_loaders import RecordError, RecordLog
from data_loaders.record_log import REASONS
from tscl.errors import DataError, InputError


def test_log_keeps_every_record_in_order(tmp_path):
    log = RecordLog("demo")
    with log.attempt("1") as line:
        line.detail = "12 beats"
    with log.attempt("2"):
        raise RecordError("2", "flat_lead", "lead V1 is flat")
    log.skip("3", "no_label", "another diagnosis")
    assert (len(log), log.n_ok) == (3, 1)
    assert log.reasons() == {"flat_lead": 1, "no_label": 1}
    assert repr(log) == "RecordLog('demo': 1 read, 2 skipped)"
    log.to_csv(tmp_path / "log.csv")
    table = pd.read_csv(tmp_path / "log.csv", dtype=str, keep_default_na=False)
    assert table.to_dict("list") == {
        "record": ["1", "2", "3"],
        "status": ["ok", "skipped", "skipped"],
        "reason": ["", "flat_lead", "no_label"],
        "detail": ["12 beats", "lead V1 is flat", "another diagnosis"],
    }
    back = RecordLog.from_dict(json.loads(json.dumps(log.as_dict())))
    assert back.lines == log.lines
    with pytest.raises(DataError, match="damaged"):
        RecordLog.from_dict({"lines": [{"moon": 1}]})


def test_strict_log_raises_and_still_records():
    log = RecordLog()
    with pytest.raises(RecordError, match="no_r_peaks"), log.attempt("7", strict=True):
        raise RecordError("7", "no_r_peaks", "none")
    assert log.skipped[0].record == "7"


def test_log_lets_programming_errors_through():
    log = RecordLog()
    with pytest.raises(ZeroDivisionError), log.attempt("7"):
        _ = 1 / 0


def test_log_of_nothing_but_skips_raises_with_the_reasons():
    log = RecordLog("demo")
    with pytest.raises(DataError, match="no records"):
        log.require_any()
    log.skip("a", "flat_lead", "flat")
    log.skip("b", "flat_lead", "flat")
    with pytest.raises(DataError, match=r"all 2 records skipped \(2 x flat_lead\)"):
        log.require_any()


def test_reason_codes_are_checked_and_errors_pickle():
    with pytest.raises(InputError, match="did you mean 'flat_lead'"):
        RecordError("a", "flat_leed", "")
    with pytest.raises(InputError):
        RecordLog().skip("a", "moon", "")
    for reason, remedy in REASONS.items():
        error = pickle.loads(pickle.dumps(RecordError("a", reason, "detail")))
        assert (error.record, error.reason, error.detail) == ("a", reason, "detail")
        assert remedy in str(error)
