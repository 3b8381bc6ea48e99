"""A report as one Markdown file with figures beside it, and one self-contained HTML page."""

from __future__ import annotations

import base64
import colorsys
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import Collection
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from PIL import Image

from tscl.disk import write_bytes, write_text


def markdown_table(frame: pd.DataFrame, *, numbers_right: bool = False) -> str:
    """A pipe table of the frame's cells; ``numbers_right`` aligns all columns but the first."""

    def line(cells: Sequence[object]) -> str:
        return (
            "| " + " | ".join(str(c).replace("|", "\\|").replace("\n", " ") for c in cells) + " |"
        )

    rest = "---:" if numbers_right else "---"
    head = [line(list(frame.columns)), line(["---", *[rest] * (frame.shape[1] - 1)])]
    return "\n".join(head + [line(row) for row in frame.to_numpy().tolist()])


BACKGROUND = "#16181c"
FOREGROUND = "#d8dce2"


def lifted(colour: Any) -> tuple[float, float, float, float]:
    """The colour for a dark ground: greys mirrored, hues kept and made light enough to read."""
    red, green, blue, alpha = to_rgba(colour)
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    if saturation < 0.15 or light in (0.0, 1.0):
        low, high = (np.asarray(to_rgb(c)) for c in (BACKGROUND, FOREGROUND))
        mixed = high + (low - high) * light
        return float(mixed[0]), float(mixed[1]), float(mixed[2]), alpha
    return *colorsys.hls_to_rgb(hue, max(light, 0.6), saturation), alpha


def darken(figure: Figure) -> None:
    """Recolour ``figure`` in place, after it was drawn once.

    Colours that stand for values (colour maps, images and the texts over them) stay as they are.
    """
    figure.patch.set_facecolor(BACKGROUND)
    kept: set[int] = set()
    for axes in figure.axes:
        axes.set_facecolor(BACKGROUND)
        kept |= {id(axes.patch)}
        if axes.images:
            kept |= {id(text) for text in axes.texts}
    for artist in figure.findobj():
        if id(artist) in kept or artist is figure.patch:
            continue
        if isinstance(artist, (Text, Line2D)):
            artist.set_color(lifted(artist.get_color()))
        elif isinstance(artist, Patch):
            artist.set_edgecolor(lifted(artist.get_edgecolor()))
            artist.set_facecolor(lifted(artist.get_facecolor()))
        elif isinstance(artist, Collection) and artist.get_array() is None:
            for get, put in (
                (artist.get_facecolor, artist.set_facecolor),
                (artist.get_edgecolor, artist.set_edgecolor),
            ):
                put([lifted(one) for one in np.asarray(get()).reshape(-1, 4)])
    for axes in figure.axes:
        axes.tick_params(which="both", colors=FOREGROUND)


STYLE = """
:root{color-scheme:light dark;--ink:#1d2126;--ground:#fff;--faint:#59616b;--line:#d9dde2;
--soft:#f4f6f8;--link:#1f5fa8}
@media (prefers-color-scheme:dark){:root{--ink:#d8dce2;--ground:#16181c;--faint:#9aa3ad;
--line:#363c44;--soft:#20242a;--link:#8ab8f0}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;max-width:66rem;margin:2rem auto;padding:0 1rem;
color:var(--ink);background:var(--ground)}
h1{font-size:1.6rem;line-height:1.25} h2{font-size:1.2rem;margin-top:2.2rem}
h3{font-size:1rem;margin:1.4rem 0 .3rem}
a{color:var(--link)} nav{font-size:.9rem} nav a{margin-right:1rem;display:inline-block}
.scroll{overflow-x:auto;margin:.6rem 0 1rem}
table{border-collapse:collapse;font-size:.87rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid var(--line);
white-space:nowrap}
table.text th,table.text td{text-align:left}
table.text td{white-space:normal;min-width:5rem;overflow-wrap:anywhere}
table.text td:first-child{white-space:nowrap}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--ground)}
.names2 :is(td,th):nth-child(2),.names3 :is(td,th):nth-child(-n+3),
.names4 :is(td,th):nth-child(-n+4),.names5 :is(td,th):nth-child(-n+5){text-align:left}
thead th{border-bottom:2px solid var(--faint)}
figure{margin:.8rem 0 1.4rem} figure img{max-width:100%;display:block;border-radius:4px}
code{background:var(--soft);padding:.1em .3em;border-radius:3px;font-size:.9em}
pre{background:var(--soft);padding:.7rem;overflow-x:auto;font-size:.82rem}
summary{cursor:pointer} .note,figcaption{color:var(--faint);font-size:.9rem}
@media (max-width:44rem){body{margin:1rem auto;padding:0 .7rem}
figure .scroll img{max-width:none;width:44rem}
table :is(td,th):first-child,table.text td:first-child{max-width:9.5rem;
white-space:normal;overflow-wrap:anywhere} table.text td:first-child{min-width:8rem}}
@media print{nav{display:none}}
"""


class Document:
    """Collects parts in order and writes ``report.md`` and ``report.html``.

    The page holds everything it shows and no script; it follows the reader's light or dark
    scheme, and wide tables and figures scroll by themselves on a narrow screen.

    Args:
        folder: where the files and ``figures/`` go.
        title: heading of the report.
    """

    def __init__(self, folder: Path, title: str) -> None:
        self.folder = folder
        self._title = title
        self._markdown = [f"# {title}", ""]
        self._html: list[str] = []
        self._pictures: dict[str, bytes] = {}
        self._sections: dict[str, str] = {}

    def heading(self, text: str) -> None:
        """A section heading."""
        self._markdown += [f"## {text}", ""]
        slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "section"
        while slug in self._sections:
            slug += "-"
        self._sections[slug] = text
        self._html.append(f'<h2 id="{slug}">{html.escape(text)}</h2>')

    def subheading(self, text: str) -> None:
        """A heading inside a section."""
        self._markdown += [f"### {text}", ""]
        self._html.append(f"<h3>{html.escape(text)}</h3>")

    def paragraph(self, text: str) -> None:
        """Plain text, with code between back ticks."""
        self._markdown += [text, ""]
        self._html.append(f"<p>{inline(text)}</p>")

    def items(self, texts: list[str]) -> None:
        """A list of sentences."""
        self._markdown += [*(f"- {text}" for text in texts), ""]
        self._html.append("<ul>" + "".join(f"<li>{inline(t)}</li>" for t in texts) + "</ul>")

    def code(self, text: str, *, summary: str | None = None) -> None:
        """Preformatted text, folded away under ``summary`` if that is given."""
        title = [f"{summary}:", ""] if summary else []
        self._markdown += [*title, "```", text.rstrip(), "```", ""]
        block = f"<pre>{html.escape(text)}</pre>"
        if summary is not None:
            block = f"<details><summary>{html.escape(summary)}</summary>{block}</details>"
        self._html.append(block)

    def table(
        self,
        frame: pd.DataFrame,
        *,
        text: bool = False,
        names: int = 1,
        summary: str | None = None,
    ) -> None:
        """A table; the index is left out.

        Args:
            frame: the cells.
            text: align all cells to the left and wrap them.
            names: number of leading columns that hold names, aligned to the left (at most five).
            summary: fold the table away under this text, on the page.
        """
        self._markdown += [markdown_table(frame, numbers_right=not text), ""]
        classes = "text" if text else f"names{names}"
        body = frame.to_html(index=False, border=0, classes=classes)
        block = f'<div class="scroll">{body}</div>'
        if summary is not None:
            block = f"<details><summary>{html.escape(summary)}</summary>{block}</details>"
        self._html.append(block)

    def figure(self, name: str, figure: Figure, caption: str) -> None:
        """A figure, written to ``figures/NAME.png`` and embedded in the page, light and dark.

        The figure object is recoloured and of no further use to the caller.
        """
        light = self._pictures[f"{name}.png"] = png(figure)
        darken(figure)
        dark = png(figure)
        self._markdown += [f"![{caption}](figures/{name}.png)", "", f"*{caption}*", ""]
        alt = html.escape(caption, quote=True)
        self._html.append(
            '<figure><div class="scroll"><picture>'
            f'<source media="(prefers-color-scheme:dark)" srcset="{address(dark)}">'
            f'<img alt="{alt}" src="{address(light)}"></picture></div>'
            f"<figcaption>{alt}</figcaption></figure>"
        )

    def page(self) -> str:
        """The HTML page."""
        title = html.escape(self._title)
        links = [f'<a href="#{k}">{html.escape(v)}</a>' for k, v in self._sections.items()]
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title}</title><style>{STYLE}</style></head>\n<body>\n"
            f"<h1>{title}</h1>\n<nav>{' '.join(links)}</nav>\n"
            + "\n".join(self._html)
            + "\n</body></html>\n"
        )

    def write(self) -> tuple[Path, Path]:
        """Write both files and the figures; returns the paths of the files."""
        markdown, page = self.folder / "report.md", self.folder / "report.html"
        for name, picture in self._pictures.items():
            write_bytes(self.folder / "figures" / name, picture)
        write_text(markdown, "\n".join(self._markdown))
        write_text(page, self.page())
        return markdown, page


def inline(text: str) -> str:
    """Text as HTML; what stands between back ticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def png(figure: Figure) -> bytes:
    """The figure as PNG."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    colour = figure.get_facecolor()
    figure.savefig(
        buffer,
        format="png",
        dpi=120,
        bbox_inches="tight",
        facecolor=colour,
        metadata={"Software": None},
    )
    buffer.seek(0)
    small = io.BytesIO()
    with Image.open(buffer) as drawn:
        # a palette of 256 colours: a third of the size, and the eye sees no difference
        drawn.convert("RGB").quantize(
            256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        ).save(small, format="png", optimize=True)
    return small.getvalue()


def address(picture: bytes) -> str:
    """A PNG as data address."""
    return "data:image/png;base64," + base64.b64encode(picture).decode()
