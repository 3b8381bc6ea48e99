"""Write docs/licences.md: the licences of what tscl needs, from installed metadata.

python docs/make_licences.py
"""

from __future__ import annotations

import importlib.metadata as metadata
import re
from pathlib import Path

from packaging.requirements import Requirement

TARGET = Path(__file__).with_name("licences.md")
EXTRAS = ("",)
TEXT = """# Licences

tscl is under the MIT licence. Its dependencies as installed by `make setup`, direct ones in bold,
with the licence their own metadata declares; `python docs/make_licences.py` writes this page.
Development tools are not listed. A software bill of materials (CycloneDX, JSON) of an environment:

```sh
pip install cyclonedx-bom
cyclonedx-py environment .venv --output-reproducible -o sbom.json
```

| package | version | licence |
| --- | --- | --- |
"""


def canonical(name: str) -> str:
    """A package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(name: str, extras: tuple[str, ...] = ("",)) -> set[str]:
    """Names that ``name`` requires in this environment."""
    found = set()
    for text in metadata.requires(name) or []:
        one = Requirement(text)
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras):
            found.add(canonical(one.name))
    return found


def licence(name: str) -> str:
    """What the metadata says: the SPDX expression, the classifiers, or the first line of text."""
    about = metadata.metadata(name)
    if about.get("License-Expression"):
        return about["License-Expression"]
    classifiers = about.get_all("Classifier") or []
    kinds = [one.split("::")[-1].strip() for one in classifiers if one.startswith("License ::")]
    kinds = [one for one in kinds if one != "OSI Approved"]
    if kinds:
        return ", ".join(kinds)
    lines = (about.get("License") or "").strip().splitlines()
    return lines[0][:80] if lines else "not declared"


def main() -> None:
    """Walk the requirements and write the page."""
    direct = needed("tscl", EXTRAS)
    seen: set[str] = set()
    queue = sorted(direct)
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        try:
            queue += sorted(needed(name) - seen)
        except metadata.PackageNotFoundError:
            continue
        seen.add(name)
    rows = []
    for name in sorted(seen):
        shown = f"**{name}**" if name in direct else name
        rows.append(f"| {shown} | {metadata.version(name)} | {licence(name)} |\n")
    TARGET.write_text(TEXT + "".join(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
