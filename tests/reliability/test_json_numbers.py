"""Numbers that JSON texts may hold and no field can: each is read or a named error."""

from __future__ import annotations

import contextlib
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.reliability.fuzz_targets import TARGETS, Corpus
from tscl.errors import TSCLError

NUMBERS = ("NaN", "1e999", "9" * 5000, "-1", "[]")
VALUE = re.compile(r'"([^"\n]+)":\s*(-?\d[\d.e+-]*|"[^"\n]*"|true|false|null)')


def one_place_a_key(text: str) -> list[tuple[int, int]]:
    """Where the first value of each key stands."""
    found = {match[1]: match.span(2) for match in reversed(list(VALUE.finditer(text)))}
    return sorted(found.values())


@pytest.mark.parametrize("name", ["container", "cohort", "results"])
def test_each_value_of_each_file_may_be_a_number_that_cannot_be(tmp_path: Path, name: str) -> None:
    target = TARGETS[name]
    corpus = Corpus(target, tmp_path / "valid")
    place, outcomes = tmp_path / "changed", {"read": 0, "named": 0}
    for file in (one for one in corpus.files if one.endswith((".json", ".jsonl"))):
        text = corpus.files[file].decode()
        for start, stop in one_place_a_key(text):
            for number in NUMBERS:
                shutil.rmtree(place, ignore_errors=True)
                corpus.write(place)
                (place / file).write_text(text[:start] + number + text[stop:])
                if target.sign is not None:
                    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                        target.sign(place)
                outcome = "read"
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    try:
                        target.read(place, np.random.default_rng(1))
                    except TSCLError:
                        outcome = "named"
                outcomes[outcome] += 1
    assert sum(outcomes.values()) >= len(NUMBERS)
    assert outcomes["named"] > outcomes["read"] / 10
