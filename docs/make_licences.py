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
with the licence their own metadata declares. Development tools are not listed. `make sbom` writes
this page and `docs/sbom.cdx.json`, a bill of materials of the same packages (CycloneDX 1.6, JSON:
versions, licences, package URLs and who requires whom). Both are of one environment: Linux on
x86-64, Python 3.11, CPU build of torch.

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


def closure() -> dict[str, set[str]]:
    """Every package that tscl needs here, directly or not, with the names each requires."""
    found: dict[str, set[str]] = {}
    queue = sorted(needed("tscl", EXTRAS))
    while queue:
        name = queue.pop()
        if name in found:
            continue
        try:
            found[name] = needed(name)
        except metadata.PackageNotFoundError:
            continue
        queue += sorted(found[name])
    return dict(sorted(found.items()))


def main() -> None:
    """Walk the requirements and write the page."""
    direct = needed("tscl", EXTRAS)
    rows = []
    for name in closure():
        shown = f"**{name}**" if name in direct else name
        rows.append(f"| {shown} | {metadata.version(name)} | {licence(name)} |\n")
    TARGET.write_text(TEXT + "".join(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
