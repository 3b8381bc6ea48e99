"""The figure of the README is drawn from what the main job leaves."""

from __future__ import annotations

import numpy as np
from matplotlib.image import imread
from typer.testing import CliRunner

from recipes import readme_figure
from tscl.cli.app import app

SMALL = (
    "data.make={n_recordings: 36}",
    "train.max_epochs=1",
    "labelled={steps: 2, batch_size: 8}",
    "shares=[1.0, 0.5]",
    "draws=1",
    "split={n_splits: 3, folds: [0]}",
    "n_replicates=20",
)


def test_figure_of_the_readme_is_drawn_from_a_run(tmp_path, monkeypatch):
    run, target = tmp_path / "run", tmp_path / "figure.png"
    sets = [part for one in SMALL for part in ("--set", one)]
    done = CliRunner().invoke(app, ["run", "-q", "--out", str(run), *sets])
    assert done.exit_code == 0, done.output
    monkeypatch.setattr("sys.argv", ["readme_figure", str(run), str(target)])
    readme_figure.main()
    pixels = imread(target)
    assert pixels.shape[1] > 3 * pixels.shape[0]
    assert np.ptp(pixels[..., :3]) > 0.5
