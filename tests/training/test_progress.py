"""The bar of a run: steps, losses, and nothing left behind."""

from __future__ import annotations

import io
import pickle

import pytest
from rich.console import Console

from tscl.training.callbacks import ProgressBar


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_bar_shows_title_steps_and_losses(console):
    bar = ProgressBar(console)
    bar.advance({"loss": 9.0})  # before it is shown: nothing
    assert text(console) == ""
    bar.start(3, 1, "TS2Vec")
    bar.advance({"loss": 0.123456, "align": 2.0})
    bar.stop()
    assert "TS2Vec" in text(console)
    assert "2/3" in text(console)
    assert "loss 0.1235  align 2" in text(console)
    shown = text(console)
    bar.advance({"loss": 1.0})
    bar.stop()
    assert text(console) == shown


def test_an_error_takes_the_bar_away_and_another_process_makes_its_own(console):
    with pytest.raises(ValueError), ProgressBar(console) as bar:
        bar.start(2, 0, "x")
        raise ValueError
    assert bar._bar is None
    other = pickle.loads(pickle.dumps(bar))
    assert other.console.stderr
    assert other._bar is None
