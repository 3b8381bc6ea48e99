"""Random files and frames written from their specification hold what was written when read.

Each case is a seed. The tests take 50 of each kind; ``TSCL_RANDOM_FILES=2000`` makes the long run.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_loaders import from_long, from_wide, load_csv, load_ts, to_long
from data_loaders.vetting.tables import read_text_table

N = int(os.environ.get("TSCL_RANDOM_FILES", "50"))
WORDS = ["None", "NA", "N/A", "n/a", "null", "nan", "NaN", "<NA>", "none", "A", "a", "AF", "Af"]
STEPS = [
    "MS",
    "ME",
    "QS",
    "QE-FEB",
    "YS",
    "B",
    "D",
    "h",
    "15min",
    "W-WED",
    "2h",
    "2MS",
    "BME",
    "500ms",
]


def pick(rng: np.random.Generator, options: list) -> str:
    return options[int(rng.integers(len(options)))]


def finish(rng: np.random.Generator, lines: list[str]) -> bytes:
    """Lines with either line end, with or without a byte order mark and a last line end."""
    end = pick(rng, ["\n", "\r\n"])
    text = end.join(lines) + (end if rng.random() < 0.8 else "")
    return text.encode("utf-8-sig" if rng.random() < 0.3 else "utf-8")


@pytest.mark.parametrize("block", range(10))
def test_series_of_a_csv(tmp_path: Path, block: int):
    for seed in range(block * N // 10, (block + 1) * N // 10):
        rng = np.random.default_rng([1, seed])
        step = pick(rng, STEPS)
        # a year of calendar steps at least: fewer do not tell months from quarters
        n, columns = int(rng.integers(20, 60)), int(rng.integers(1, 4))
        start = pd.Timestamp("2001-01-01") + pd.Timedelta(days=int(rng.integers(0, 9000)))
        times = pd.date_range(start, periods=n, freq=step)
        values = rng.normal(size=(n, columns)) * 10.0 ** rng.integers(-3, 4)
        left_out = rng.choice(np.arange(4, n - 4), int(rng.integers(0, 3)), replace=False)
        empty = rng.random(values.shape) < (0.05 if rng.random() < 0.5 else 0)
        empty[0] = False
        names = [pick(rng, ["load", "NA", "None", "x y", "é"]) + str(c) for c in range(columns)]
        form = pick(rng, ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S+02:00"])
        if step == "500ms":
            form = pick(rng, ["", "%Y-%m-%d %H:%M:%S.%f"])
        comma = "," if rng.random() < 0.3 else ""
        lines = [",".join(["date", *names]) + pick(rng, ["", comma])]
        for i in np.setdiff1d(np.arange(n), left_out):
            cells = ["" if e else repr(float(v)) for v, e in zip(values[i], empty[i], strict=True)]
            lines.append(
                ",".join([times[i].strftime(form) if form else str(times[i]), *cells]) + comma
            )
        path = tmp_path / "a.csv"
        path.write_bytes(finish(rng, lines))
        series = load_csv(path, irregular="fill", missing="forward")
        right = pd.DataFrame(np.where(empty, np.nan, values), times).drop(times[left_out])
        right = right.ffill().reindex(times).ffill()
        assert series.timestamps.equals(times), (seed, step)
        assert series.columns == tuple(names), seed
        np.testing.assert_allclose(series.values, right, rtol=1e-6, err_msg=str(seed))
        assert series.source.get("filled_rows", 0) == len(left_out), seed


@pytest.mark.parametrize("block", range(10))
def test_ts_files(tmp_path: Path, block: int):
    for seed in range(block * N // 10, (block + 1) * N // 10):
        rng = np.random.default_rng([2, seed])
        n, channels = int(rng.integers(1, 8)), int(rng.integers(1, 4))
        classes = sorted({pick(rng, WORDS) for _ in range(4)})
        labels = [pick(rng, classes) for _ in range(n)]
        timed, dated = rng.random() < 0.4, rng.random() < 0.5
        lengths = rng.integers(2, 9, n) if rng.random() < 0.5 else np.full(n, 6)
        step = float(rng.integers(1, 5)) / 2
        values = [rng.normal(size=(t, channels)).round(4) for t in lengths]
        for one in values:
            one[1:][rng.random(one[1:].shape) < 0.1] = np.nan
        mark = pick(rng, ["?", "NaN"])
        lines = [
            *(["# a comment: one, two"] if rng.random() < 0.5 else []),
            "@problemName Toy",
            f"@timeStamps {str(timed).lower()}",
            f"@univariate {str(channels == 1).lower()}",
            f"@classLabel true {' '.join(classes)}",
            pick(rng, ["@data", "@Data"]),
        ]
        for one, label in zip(values, labels, strict=True):
            begin = pd.Timestamp("2020-01-01 00:00:00") + pd.Timedelta(days=int(rng.integers(99)))
            cells = []
            for column in one.T:
                texts = [mark if np.isnan(v) else repr(float(v)) for v in column]
                if timed and dated:
                    at = [str(begin + pd.Timedelta(seconds=step * i)) for i in range(len(column))]
                    texts = [f"({t},{v})" for t, v in zip(at, texts, strict=True)]
                elif timed:
                    texts = [f"({step * i + 3:g},{v})" for i, v in enumerate(texts)]
                cells.append(pick(rng, [",", ", "]).join(texts))
            lines.append(":".join([*cells, label]))
            lines += [""] if rng.random() < 0.1 else []
        path = tmp_path / "a.ts"
        path.write_bytes(finish(rng, lines))
        X, read = load_ts(path)
        assert read.tolist() == labels, seed
        assert X.shape == (n, max(lengths), channels), seed
        for row, one in zip(X, values, strict=True):
            np.testing.assert_array_equal(row[: len(one)], one.astype(np.float32), str(seed))
            assert np.isnan(row[len(one) :]).all(), seed


@pytest.mark.parametrize("block", range(10))
def test_tables_of_text(tmp_path: Path, block: int):
    for seed in range(block * N // 10, (block + 1) * N // 10):
        rng = np.random.default_rng([3, seed])
        width, n = int(rng.integers(2, 6)), int(rng.integers(1, 12))
        pool = [*WORDS, "", "007", "1e3", "TRUE", "a;b", "a,b", "a\tb", 'say "x"', "  x ", "é"]
        cells = [[pick(rng, pool) for _ in range(width)] for _ in range(n)]
        mark = pick(rng, [",", ";", "\t"])
        out = io.StringIO()
        writer = csv.writer(out, delimiter=mark, lineterminator="\n")
        writer.writerows([[f"c{i}" for i in range(width)], *cells])
        lines = out.getvalue().splitlines()
        if rng.random() < 0.3:  # one mark too many, as spreadsheets write it
            lines = [lines[0], *[line + mark for line in lines[1:]]]
        path = tmp_path / "a.csv"
        path.write_bytes(finish(rng, lines))
        table = read_text_table(path)
        assert table.to_numpy().tolist() == cells, seed
        assert list(table.columns) == [f"c{i}" for i in range(width)], seed


@pytest.mark.parametrize("block", range(10))
def test_frames(block: int):
    for seed in range(block * N // 10, (block + 1) * N // 10):
        rng = np.random.default_rng([4, seed])
        n, channels, rate = int(rng.integers(2, 9)), int(rng.integers(1, 4)), rng.integers(1, 500)
        level = pick(rng, [0.0, 0.0, 1e4, 1e6, 1e9, -1e8]) * np.ones(channels)
        lengths = rng.integers(3, 9, n)
        series = [level + rng.normal(size=(t, channels)) for t in lengths]
        who = [pick(rng, WORDS) for _ in range(n)]
        kind = pick(rng, ["classes", "multilabel", "target"])
        label = {
            "classes": pd.DataFrame({"y": [pick(rng, [*WORDS, None]) for _ in range(n)]}),
            "multilabel": pd.DataFrame(rng.choice([0.0, 1.0, np.nan], (n, 2)), columns=["y", "z"]),
            "target": pd.DataFrame(
                {"y": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n))}
            ),
        }[kind]
        rows = [
            {"sample": i, "time": k / rate, "who": who[i], **label.iloc[i], **dict(enumerate(step))}
            for i, one in enumerate(series)
            for k, step in enumerate(one)
        ]
        frame = pd.DataFrame(rows)
        order = np.concatenate([[int(np.argmax(frame["sample"] == i)) for i in range(n)],
                                rng.permutation(len(frame))])  # fmt: skip
        frame = frame.iloc[pd.unique(order)]
        data = from_long(
            frame, sample="sample", time="time", channels=list(range(channels)), patient="who",
            sampling_rate=float(rate), label=list(label) if kind == "multilabel" else "y",
            label_kind=kind,
        )  # fmt: skip
        assert data.patient.tolist() == who, seed
        for row, one in zip(np.asarray(data.X, np.float64), series, strict=True):
            lost = np.abs(row[: len(one)] - one).max()
            assert lost <= 1e-3 * (one.std(axis=0).min() + 1e-9), (seed, level)
        if kind == "classes":
            names = [data.label_names[c] if c >= 0 else None for c in data.label]
            assert names == [None if pd.isna(one) else one for one in label["y"]], seed
        else:
            np.testing.assert_allclose(data.label.reshape(n, -1), label, err_msg=str(seed))
        if len(set(lengths)) == 1:
            assert len(to_long(data)) == len(frame)
        wide = pd.DataFrame([one[:3, 0] for one in series]).assign(who=who, **label)
        again = from_wide(
            wide, patient="who", sampling_rate=float(rate), steps=[0, 1, 2],
            label=list(label) if kind == "multilabel" else "y", label_kind=kind,
        )  # fmt: skip
        np.testing.assert_array_equal(again.label, data.label)
