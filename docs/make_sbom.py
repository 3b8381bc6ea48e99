"""Write docs/sbom.cdx.json: what tscl needs at run time, as a CycloneDX 1.6 bill of materials.

python docs/make_sbom.py

The packages are those of docs/licences.md. No serial number and no time are written, so the same
environment gives the same file.
"""

from __future__ import annotations

import importlib.metadata as metadata
import json
import platform
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from make_licences import EXTRAS, closure, licence, needed
from packageurl import PackageURL

TARGET = Path(__file__).with_name("sbom.cdx.json")


def component(name: str) -> Component:
    """One installed package."""
    about, version = metadata.metadata(name), metadata.version(name)
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        description=about.get("Summary"),
        licenses=[LicenseFactory().make_from_string(licence(name))],
        purl=PackageURL("pypi", name=name, version=version),
        bom_ref=f"{name}=={version}",
    )


def bill() -> str:
    """The bill as JSON text.

    Raises:
        ValueError: the text does not follow the schema.
    """
    required = closure()
    made = {name: component(name) for name in required}
    root = component("tscl")
    bom = Bom(components=made.values())
    bom.metadata.component = root
    place = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    bom.metadata.properties.add(Property(name="tscl:environment", value=place))
    bom.register_dependency(root, [made[one] for one in sorted(needed("tscl", EXTRAS))])
    for name, others in required.items():
        bom.register_dependency(made[name], [made[one] for one in sorted(others) if one in made])
    content = json.loads(JsonV1Dot6(bom).output_as_string())
    content.pop("serialNumber", None)
    content["metadata"].pop("timestamp", None)
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        raise ValueError(str(wrong))
    return text


if __name__ == "__main__":
    TARGET.write_text(bill(), encoding="utf-8")
