"""Hooks of the documentation site: equations as MathML, docstring references as links, navigation.

A page that ``nav`` of ``mkdocs.yml`` does not name is added: under Methods or Results by its path,
else under Guides.

Equations are written as ``$...$`` and ``$$...$$``. They become MathML when the site is built, so
that a page needs no script and no network. An equation that cannot be converted stops the build.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

EQUATION = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\(?P<open>[(\[])(?P<tex>.*?)\\[)\]]</(?P=tag)>',
    re.DOTALL,
)
ROLE = re.compile(
    r":(?:func|class|meth|mod|data|attr|exc):<code>(?P<short>~?)(?P<name>[\w.]+)</code>"
)


def on_config(config: Any) -> Any:
    """Add the pages that the navigation leaves out to its sections."""
    docs = Path(config["docs_dir"])
    named = set(re.findall(r"[\w/]+\.md", str(config["nav"])))
    sections = {k: v for entry in config["nav"] for k, v in entry.items() if isinstance(v, list)}
    for path in sorted(docs.rglob("*.md")):
        page = path.relative_to(docs).as_posix()
        if page in named:
            continue
        method, result = page.startswith("methods/"), page.startswith("results_")
        sections["Methods" if method else "Results" if result else "Guides"].append(page)
    return config


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """The finished body of a page, with MathML and links in place."""

    def equation(match: re.Match[str]) -> str:
        display = "inline" if match["open"] == "(" else "block"
        try:
            return convert(html.unescape(match["tex"]).strip(), display=display)
        except Exception as error:
            raise PluginError(f"{page.file.src_uri}: {match['tex']}: {error!r}") from error

    def link(match: re.Match[str]) -> str:
        name = match["name"]
        shown = name.rsplit(".", 1)[-1] if match["short"] else name
        return f'<autoref optional identifier="{name}"><code>{shown}</code></autoref>'

    return ROLE.sub(link, EQUATION.sub(equation, content))
