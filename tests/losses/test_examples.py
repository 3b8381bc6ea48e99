"""Every loss shows itself in an example, and the example gives what it shows."""

from __future__ import annotations

import doctest
import sys

import pytest

import tscl.losses
from tscl.losses import LOSSES

OVER_SERIES = {
    tscl.losses.HierarchicalContrastiveLoss,
    tscl.losses.IdContrastLoss,
    tscl.losses.LocalInfoNCE,
    tscl.losses.MixupContrast,
    tscl.losses.ObservationLoss,
    tscl.losses.ReplayContrast,
    tscl.losses.SampleLoss,
}
SHOWN = {LOSSES.get(name) for name in LOSSES.names()} | OVER_SERIES


@pytest.mark.parametrize("loss", sorted(SHOWN, key=lambda c: c.__name__), ids=lambda c: c.__name__)
def test_every_loss_has_an_example_that_holds(loss: type) -> None:
    names = vars(sys.modules[loss.__module__])
    (test,) = doctest.DocTestFinder(recurse=False).find(loss, loss.__name__, globs=dict(names))
    assert test.examples
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)
    assert not result.failed
