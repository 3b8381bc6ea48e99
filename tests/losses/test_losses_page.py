"""The page of losses: every loss, its module, a paper the module cites; degenerate batches."""

from __future__ import annotations

import ast
import inspect
import math
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.losses.test_contract import build, draw
from tscl.errors import InputError
from tscl.losses import LOSSES, ContrastiveLoss

PAGE = Path(__file__).resolve().parents[2] / "docs" / "losses.md"
NAMES = [n for n in LOSSES.names() if issubclass(LOSSES.get(n), ContrastiveLoss)]
TABLES = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| `")
]
ROWS = {cells[0].strip("`"): cells for cells in TABLES if len(cells) == 5}
DEGENERATE = {cells[0].strip("`"): cells[1:] for cells in TABLES if len(cells) == 9}
B, D = 6, 8


def test_one_row_a_loss() -> None:
    assert sorted(ROWS) == NAMES
    assert sorted(DEGENERATE) == NAMES
    assert len(TABLES) == 2 * len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_row_agrees_with_the_module(name: str) -> None:
    _, needs, _, paper, module = ROWS[name]
    source = Path(inspect.getfile(LOSSES.get(name)))
    assert module.strip("`") == source.name
    assert re.fullmatch(r"\d{4}\.\d{5}", paper)
    if name != "mmd":  # the paper is that of the method that uses it
        assert paper in source.read_text(encoding="utf-8")
    for need in LOSSES.get(name).needs:
        assert need in needs


def formula(text: str) -> float:
    """The value of a cell such as ``4 log(2B - 1)``."""
    written = re.sub(r"(?<=[\d)]) ?(?=[a-zA-Z(])", "*", text)
    tree = ast.parse(written, mode="eval")
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert names <= {"B", "D", "log"}
    return float(eval(compile(tree, "cell", "eval"), {"B": B, "D": D, "log": math.log}))


def held(cell: str, name: str, z: Tensor, labels: Tensor, field: str) -> None:
    """The loss does what its cell says."""
    z = z.clone().requires_grad_()
    ids = torch.arange(z.shape[1])
    if cell == "error":
        with pytest.raises(InputError, match=field):
            build(name)(z, None, labels=labels, ids=ids)
        return
    value = build(name)(z, None, labels=labels, ids=ids)
    gradient = torch.zeros_like(z)
    if value.requires_grad:
        gradient = torch.autograd.grad(value, z, allow_unused=True, materialize_grads=True)[0]
    assert bool(torch.isfinite(value).all())
    assert not bool(torch.isnan(gradient).any())
    if z.dtype == torch.float32:
        assert bool(torch.isfinite(gradient).all())
    if cell not in ("finite", "-"):
        assert value.item() == pytest.approx(formula(cell), rel=1e-5, abs=1e-6)
        assert formula(cell) != 0 or not bool(gradient.any())


@pytest.mark.parametrize("name", NAMES)
def test_degenerate_batches_do_what_the_page_says(name: str) -> None:
    one, same, none, zero, infinite, cold, unequal, half = DEGENERATE[name]
    classes, apart = torch.arange(B) % 3, torch.arange(B)
    z = draw(B, seed=4)
    held(one, name, z[:, :1], classes[:1], "batch size")
    held(same, name, z, torch.zeros(B, dtype=torch.int64), "labels")
    held(none, name, z[:1], apart, "views")
    held(zero, name, torch.zeros(2, B, D), classes, "z1")
    bad = z.clone()
    bad[1, 2, 3] = math.nan
    held(infinite, name, bad, classes, "NaN or infinity")
    has_temperature = "temperature" in inspect.signature(LOSSES.get(name).__init__).parameters
    assert cold == ("error" if has_temperature else "-")
    if has_temperature:
        with pytest.raises(InputError, match="temperature"):
            build(name, temperature=0.0)
    assert unequal == "error"
    with pytest.raises(InputError, match="z1, z2"):
        build(name)(z[0], z[1, :4], labels=classes)
    assert half == "finite"
    for dtype in (torch.float16, torch.bfloat16):
        for scale in (1.0, 1e3):
            held(half, name, (z * scale).to(dtype), classes, "z1")


@pytest.mark.parametrize("name", NAMES)
def test_losses_without_a_cell_for_labels_ignore_them(name: str) -> None:
    z = draw(B, seed=4)
    columns = (torch.zeros(B).long(), torch.arange(B))
    values = [build(name)(z, None, labels=y, index=torch.arange(B)) for y in columns]
    if DEGENERATE[name][1] == "-":
        assert values[0] == values[1]
    else:
        assert values[0] != values[1]
