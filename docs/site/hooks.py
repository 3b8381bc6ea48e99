"""Hooks of the documentation site: equations as MathML, cross references of docstrings as links.

Equations are written as ``$...$`` and ``$$...$$``. They become MathML when the site is built, so
that a page needs no script and no network. An equation that cannot be converted stops the build.
"""

from __future__ import annotations

import html
import re
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
