"""Every Python block of the tour, the tutorials and the estimators page runs as shown."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tscl.cli.app import app
from tscl.losses import LOSSES

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [DOCS / "tour.md", DOCS / "estimators.md", *sorted((DOCS / "tutorials").glob("*.md"))]
COMMANDS = {"validated_model"}
"""Pages whose command lines run too, in order with their Python."""
BLOCK = re.compile(r"^```(python|text|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_blocks_run_and_print_what_is_shown(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # what a page registers is gone after it
    monkeypatch.setattr(LOSSES, "_entries", dict(LOSSES._entries))
    text = path.read_text(encoding="utf-8")
    names: dict[str, object] = {"__name__": "tutorial"}
    printed = None
    ran = 0
    for match in BLOCK.finditer(text):
        kind, body = match.groups()
        if kind == "sh":
            for line in body.splitlines() if path.stem in COMMANDS else ():
                result = CliRunner().invoke(app, shlex.split(line)[1:])
                assert result.exit_code == 0, f"{line}: {result.output}"
            continue
        if kind == "text":
            assert printed is not None, f"{path.name}: output before any block"
            assert printed == body
            continue
        line = text.count("\n", 0, match.start(2)) + 1
        code = compile("\n" * (line - 1) + body, str(path), "exec")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(code, names)
        printed = out.getvalue()
        ran += 1
    assert ran >= 3
