"""The benchmarks page is made from measured rows only, and every benchmark keeps the convention."""

from __future__ import annotations

import ast
import importlib
import inspect

import pytest

from tests.benchmarks import run_all
from tests.benchmarks.rows import row, show


def test_ratio_is_reference_over_here(capsys):
    rows = show([row("step", against="loop", reference=3.0, here=1.5)])
    assert rows[0]["ratio"] == 2.0
    assert capsys.readouterr().out == "step: 1.5 s against 3 (loop), ratio 2\n"


@pytest.mark.parametrize("name", run_all.names())
def test_every_benchmark_returns_rows(name):
    module = importlib.import_module(f"tests.benchmarks.{name}")
    assert module.__doc__
    found = inspect.signature(module.main)
    assert found.return_annotation == "list[Row]"
    assert found.parameters["argv"].default is None
    tree = ast.parse(inspect.getsource(module.main))
    parsers = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "parse_args"
    ]
    assert parsers
    assert all(getattr(node.args[0], "id", "") == "argv" for node in parsers)


def test_page_is_the_rendering_of_the_stored_rows():
    store = run_all.load()
    assert set(store) <= set(run_all.names())
    for found in store.values():
        for one in found["rows"]:
            assert one["ratio"] == pytest.approx(one["reference"] / one["here"])
    assert run_all.PAGE.read_text(encoding="utf-8") == run_all.page(store)


def test_numbers_keep_three_digits():
    assert run_all.number(9445.37) == "9,450"
    assert run_all.number(0.012345) == "0.0123"
    assert run_all.number(11.38) == "11.4"
