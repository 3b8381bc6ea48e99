"""The page of fidelity says what the code does today."""

from __future__ import annotations

import re

from tests.reference.fidelity import MARKS, PAGE, measure, rewrite

TEXT = PAGE.read_text()


def test_the_measured_table_holds() -> None:
    """Rounding of another machine may differ by a power of ten, a formula by far more."""
    written = TEXT.split(MARKS[0])[1].split(MARKS[1])[0].strip().splitlines()[2:]
    rows = {tuple(cells[:3]): float(cells[3]) for cells in (w[2:-2].split(" | ") for w in written)}
    measured = measure()
    assert list(rows) == list(measured)
    for key, value in measured.items():
        assert value <= max(10 * rows[key], 1e-13), key
        assert rows[key] < 1e-13, key
    assert rewrite(TEXT, measured).split(MARKS[1])[1] == TEXT.split(MARKS[1])[1]


def test_files_and_tests_that_the_page_names_are_there() -> None:
    root = PAGE.parents[1]
    named = set(re.findall(r"`((?:tests|recipes)/[\w./*]+)`", TEXT))
    assert len(named) > 5
    for name in named:
        assert list(root.glob(name)), name


def test_every_row_has_the_cells_of_its_table() -> None:
    head = 0
    for line in TEXT.splitlines():
        head = (head or line.count("|")) if line.startswith("|") else 0
        assert not head or line.count("|") == head, line
