"""A report as one Markdown file with figures beside it, and one self-contained HTML page."""

from __future__ import annotations

import base64
import html
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from tscl.disk import write_text
from tscl.reporting.forecasting_figures import save
from tscl.reporting.markdown import markdown_table

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #ddd}
th:first-child,td:first-child{text-align:left}
thead th{border-bottom:2px solid #444}
img{max-width:100%} pre{background:#f6f6f6;padding:.7rem;overflow-x:auto} .note{color:#555}
"""


class Document:
    """Collects parts in order and writes ``report.md`` and ``report.html``.

    Args:
        folder: where the files and ``figures/`` go.
        title: heading of the report.
    """

    def __init__(self, folder: Path, title: str) -> None:
        self.folder = folder
        self._markdown = [f"# {title}", ""]
        self._html = [f"<h1>{html.escape(title)}</h1>"]
        self._title = title

    def heading(self, text: str) -> None:
        """A section heading."""
        self._markdown += [f"## {text}", ""]
        self._html.append(f"<h2>{html.escape(text)}</h2>")

    def paragraph(self, text: str) -> None:
        """Plain text."""
        self._markdown += [text, ""]
        self._html.append(f"<p>{html.escape(text)}</p>")

    def code(self, text: str) -> None:
        """Preformatted text."""
        self._markdown += ["```", text.rstrip(), "```", ""]
        self._html.append(f"<pre>{html.escape(text)}</pre>")

    def table(self, frame: pd.DataFrame) -> None:
        """A table; the index is left out."""
        self._markdown += [markdown_table(frame, numbers_right=True), ""]
        self._html.append(frame.to_html(index=False, border=0))

    def figure(self, name: str, figure: Figure, caption: str) -> None:
        """A figure, written to ``figures/NAME.png`` and embedded in the page."""
        path = self.folder / "figures" / f"{name}.png"
        save(figure, path)
        self._markdown += [f"![{caption}](figures/{name}.png)", "", f"*{caption}*", ""]
        data = base64.b64encode(path.read_bytes()).decode()
        alt = html.escape(caption, quote=True)
        self._html.append(
            f'<figure><img alt="{alt}" src="data:image/png;base64,{data}">'
            f'<figcaption class="note">{alt}</figcaption></figure>'
        )

    def write(self) -> tuple[Path, Path]:
        """Write both files; returns their paths."""
        markdown, page = self.folder / "report.md", self.folder / "report.html"
        write_text(markdown, "\n".join(self._markdown))
        write_text(
            page,
            "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
            f"<title>{html.escape(self._title)}</title><style>{STYLE}</style></head><body>"
            + "\n".join(self._html)
            + "</body></html>\n",
        )
        return markdown, page
