from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.training import cases
from tscl.training.callbacks import History
from tscl.training.checkpoint import CheckpointStore

NAMES = st.sampled_from(["loss", "patient", "trial"])
ROWS = st.lists(
    st.builds(
        lambda step, epoch, terms: {"step": step, "epoch": epoch, **terms},
        st.integers(0, 2**50),
        st.integers(0, 2**50),
        st.dictionaries(NAMES, st.floats(allow_nan=False)),
    ),
    max_size=8,
)


@given(ROWS)
def test_it_is_the_list_of_rows_it_was_given(rows: list[dict[str, float]]) -> None:
    history = History(rows)
    assert list(history) == rows
    assert len(history) == len(rows)
    assert history[-3:] == rows[-3:]
    assert all(type(row["step"]) is int and type(row["epoch"]) is int for row in history)
    for again in (History.restored(history.state()), History.restored(rows)):
        assert list(again) == rows
    if rows:
        assert history[-1] == rows[-1]
        again.append({"step": 1, "epoch": 0, "new": 0.5})
        assert again[len(rows)] == {"step": 1, "epoch": 0, "new": 0.5}
        assert list(again)[: len(rows)] == rows
    with pytest.raises(IndexError):
        history[len(rows)]


def test_a_checkpoint_holds_it_to_the_bit(tmp_path: Path) -> None:
    rows = [{"step": i, "epoch": i // 3, "loss": 0.1 * i**3} for i in range(10)]
    store = CheckpointStore(tmp_path)
    store.save(10, {"history": History(rows).state(), "method": {"w": torch.ones(2)}})
    state = store.load_latest()
    assert state is not None
    assert list(History.restored(state["history"])) == rows


def _bytes_of(history: History) -> Iterator[int]:
    for values in (history._values, history._known):
        yield from map(sys.getsizeof, values.values())


def test_a_row_takes_a_few_bytes() -> None:
    rows = ({"step": i, "epoch": 0, "loss": float(i), "patient": 1.0} for i in range(10_000))
    assert sum(_bytes_of(History(rows))) < 10_000 * 4 * 12


def test_a_finished_run_gives_plain_rows() -> None:
    history = cases.fit(cases.build("simclr", 0.1)).history
    assert type(history) is list
    assert [row["step"] for row in history] == list(range(len(history)))
    assert all(type(row) is dict and row["loss"] > 0 for row in history)
