"""The study of projection heads: every part of a head is scored, the page says what rows say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recipes.objectives import heads as study
from recipes.objectives.config import load_objectives
from recipes.objectives.tasks import ClassificationTask
from tscl.seeding import numpy_generator


def planted() -> ClassificationTask:
    """Two classes that differ in level: any code keeps them apart."""
    draw = numpy_generator(0, "heads study")
    y = np.arange(24) % 2
    x = (draw.normal(size=(24, 16, 2)) + 4.0 * y[:, None, None]).astype(np.float32)
    return ClassificationTask(x, y, y.astype(np.float32), 2, x[:8], None, x, y)


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (None, [0]),
        ("none", [0]),
        ("3 layers, width 32", [0, 1, 2, 3]),
        ("reweighting, kappa 1.3", [0, 1]),
    ],
)
def test_every_part_of_a_head_is_scored(head, kept):
    small = ["train.steps=2", "train.batch_size=8", "encoder.params.depth=1"]
    config = load_objectives(study.BASE, small)
    rows = study.run(config, planted(), head, 0)
    assert [row["kept"] for row in rows] == kept
    assert rows[0]["macro_f1"] > 0.9
    assert all(row["uniformity"] < 0 for row in rows)
    assert rows == study.run(config, planted(), head, 0)


def test_page_says_what_the_rows_say():
    depth = {head: study.HEADS[head].get("depth", 1) for head in study.HEADS}
    depth |= {"untrained": 0, "none": 0}
    rows = [
        {"task": "T", "head": head, "seed": seed, "kept": k, "uniformity": -1.0}
        | {"macro_f1": 0.9 - 0.1 * k if head.startswith("2") else 0.5 + 0.1 * k}
        for head, layers in depth.items()
        for k in range(layers + 1)
        for seed in (0, 1)
    ]
    page = study.page(pd.DataFrame(rows), "command")
    assert "in 6 of 10 runs with layers" in page
    assert "by +0.040 on average" in page
    assert "| 2 layers, width 8 | 2 | 0.700 ± 0.000 | -1.000 ± 0.000 |" in page
    assert "(2 layers, width 8) 0.900" in page
    assert "over 2 seeds" in page
