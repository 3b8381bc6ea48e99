"""Compare training objectives and write the ranked table with its figures.

    python -m recipes.objectives.run CONFIG --workers 2
    python -m recipes.objectives.run CONFIG --page docs/results_objectives.md

A killed comparison goes on where it was. ``--page`` writes the page from finished cells only.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # also as a script, from anywhere

from recipes.objectives.config import load_objectives
from recipes.objectives.page import write_page
from recipes.objectives.study import ObjectiveStudy


def main() -> None:
    """Run what is missing and write the page in the study's folder, or only write a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--page", type=Path, help="write this page from finished cells only")
    options = parser.parse_args()
    study = ObjectiveStudy(load_objectives(options.config, options.set))
    if options.page is None:
        study.run(
            workers=options.workers,
            report=lambda title, done, total: print(f"{done}/{total} {title}", flush=True),
        )
    page = options.page or study.folder / "objectives.md"
    command = f"python recipes/objectives/run.py {options.config}"
    write_page(study, page, page.parent / "figures", command)
    print(page)


if __name__ == "__main__":
    main()
