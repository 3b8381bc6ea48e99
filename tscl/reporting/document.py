"""A report as one Markdown file with figures beside it, and one self-contained HTML page."""

from __future__ import annotations

import base64
import colorsys
import html
import io
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
import pandas as pd
from markdown import Markdown
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import Collection
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from PIL import Image

from tscl.disk import new_folder, write_bytes, write_text
from tscl.reporting.references import Reference, bibliography


def markdown_table(frame: pd.DataFrame, *, names: int | None = None) -> str:
    """A pipe table of the frame's cells.

    Args:
        frame: the cells; the index is left out.
        names: leading columns aligned to the left, the others to the right; None aligns none.
    """

    def line(cells: Sequence[object]) -> str:
        texts = (str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
        return f"| {' | '.join(texts)} |"

    width = frame.shape[1]
    marks = ["---"] * (width if names is None else min(names, width))
    marks += ["---:"] * (width - len(marks))
    rows = [list(frame.columns), marks, *frame.to_numpy().tolist()]
    return "\n".join(line(row) for row in rows)


def starred(frame: pd.DataFrame, names: int, best: Literal["high", "low"]) -> pd.DataFrame:
    """The cells as text, a star behind the best leading number of every column.

    Args:
        frame: the table.
        names: columns at the left that hold names, not figures.
        best: ``high`` or ``low``.
    """
    result = frame.astype(object).astype(str)
    for place in range(names, frame.shape[1]):
        cells = result.iloc[:, place].tolist()
        matches = [re.match(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", cell) for cell in cells]
        values = [float(match[0]) for match in matches if match]
        if len(values) > 1:
            top = max(values) if best == "high" else min(values)
            result.iloc[:, place] = [
                f"{match[0]}*{cell[match.end() :]}" if match and float(match[0]) == top else cell
                for cell, match in zip(cells, matches, strict=True)
            ]
    return result


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
                put([lifted(colour) for colour in np.asarray(get()).reshape(-1, 4)])
    for axes in figure.axes:
        axes.tick_params(which="both", colors=FOREGROUND)


STYLE = """
:root{color-scheme:light dark;--ink:#1d2126;--ground:#fff;--faint:#59616b;--line:#d9dde2;
--soft:#f4f6f8;--link:#1f5fa8}
@media (prefers-color-scheme:dark){:root{--ink:#d8dce2;--ground:#16181c;--faint:#9aa3ad;
--line:#363c44;--soft:#20242a;--link:#8ab8f0}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;
color:var(--ink);background:var(--ground)}
h1{font-size:1.6rem;line-height:1.25} h2{font-size:1.2rem;margin-top:2.2rem}
h3{font-size:1rem;margin:1.4rem 0 .3rem}
a{color:var(--link)} nav{font-size:.9rem} nav a{margin-right:1rem;display:inline-block}
.scroll{overflow-x:auto;margin:.6rem 0 1rem}
table{border-collapse:collapse;font-size:.87rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;text-align:left;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{white-space:nowrap}
.text td{min-width:5rem;overflow-wrap:break-word} .text code{overflow-wrap:anywhere}
th:first-child,td:first-child{position:sticky;left:0;background:var(--ground)}
thead th{border-bottom:2px solid var(--faint)}
figure{margin:.8rem 0 1.4rem} figure img{max-width:100%;display:block;border-radius:4px}
code{background:var(--soft);padding:.1em .3em;border-radius:3px;font-size:.9em}
pre{background:var(--soft);padding:.7rem;overflow-x:auto;font-size:.82rem}
summary{cursor:pointer} .note,figure em{font-style:normal;color:var(--faint);font-size:.9rem}
@media (max-width:44rem){body{margin:1rem auto;padding:0 .7rem}
figure.wide img{max-width:none;width:44rem}
table :is(td,th):first-child{max-width:9.5rem;min-width:6rem;
white-space:normal;overflow-wrap:break-word} .text table :is(td,th):first-child{min-width:0}}
@page{size:A4;margin:14mm}
@media print{nav{display:none} body{max-width:none;margin:0;padding:0;font-size:10pt}
.scroll{overflow:visible} table{font-size:7pt;width:100%}
th,td,table :is(td,th):first-child{white-space:normal;padding:.12rem .25rem;position:static;
max-width:none} table :is(td,th):first-child{overflow-wrap:anywhere;min-width:3.4rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere;overflow:visible}
details>summary{list-style:none} details::details-content{content-visibility:visible;display:block}
figure,tr{break-inside:avoid} h2,h3{break-after:avoid} thead{display:table-header-group}
figure img,figure.wide img{width:auto;max-width:100%;max-height:235mm}}
"""


class Document:
    """Collects Markdown in order and writes ``report.md`` and, made of it, ``report.html``.

    The page holds everything it shows and no script; it follows the reader's light or dark
    scheme, and wide tables and figures scroll by themselves on a narrow screen.

    Args:
        folder: where the files and ``figures/`` go.
        title: heading of the report.
    """

    def __init__(self, folder: Path, title: str) -> None:
        self.folder = folder
        self._title = title
        self._parts: list[tuple[str, str, str]] = []
        self._pictures: dict[str, bytes] = {}
        self._vectors: dict[str, bytes] = {}
        self._files: dict[str, str] = {}
        self._frames: dict[str, pd.DataFrame] = {}
        self._sections: dict[str, str] = {}
        self._heading = title

    def _add(
        self,
        markdown: str,
        before: str = "",
        after: str = "",
        summary: str | None = None,
    ) -> None:
        """A part, and what stands around its HTML; with ``summary`` it is folded away."""
        if summary is not None:
            before = f"<details><summary>{html.escape(summary)}</summary>{before}"
            after += "</details>"
        self._parts.append((markdown, before, after))

    def heading(self, text: str) -> None:
        """A section heading."""
        slug = _slug(text)
        while slug in self._sections:
            slug += "-"
        self._sections[slug] = self._heading = text
        self._add(f"## {text}", f'<div id="{slug}">', "</div>")

    def subheading(self, text: str) -> None:
        """A heading inside a section."""
        self._heading = text
        self._add(f"### {text}")

    def paragraph(self, text: str) -> None:
        """Markdown text; HTML in it is shown as it is written."""
        self._add(text)

    def items(self, texts: list[str]) -> None:
        """A list of sentences."""
        self._add("\n".join(f"- {text}" for text in texts))

    def code(self, text: str, *, summary: str | None = None) -> None:
        """Preformatted text, folded away under ``summary`` if that is given."""
        self._add(f"```\n{text.rstrip()}\n```", summary=summary)

    def table(
        self,
        frame: pd.DataFrame,
        *,
        text: bool = False,
        names: int = 1,
        summary: str | None = None,
        best: Literal["high", "low"] | None = None,
    ) -> None:
        """A table; the index is left out.

        Args:
            frame: the cells.
            text: align all cells to the left and wrap them.
            names: number of leading columns that hold names, aligned to the left.
            summary: fold the table away under this text, on the page.
            best: put a star behind the best number of every column, see :func:`starred`.
        """
        if best is not None:
            frame = starred(frame, names, best)
        left = frame.shape[1] if text else names
        kind = "scroll text" if text else "scroll"
        self._add(markdown_table(frame, names=left), f'<div class="{kind}">', "</div>", summary)
        name = f"{len(self._frames) + 1:02d}-{_slug(summary or self._heading)[:60].strip('-')}"
        self._frames[name] = frame

    def references(self, papers: Sequence[Reference]) -> None:
        """A list of papers, each once, written to ``references.bib`` too; nothing without any."""
        once = list(dict.fromkeys(papers))
        if once:
            self.heading("References")
            self.items([str(paper) for paper in once])
            self._files["references.bib"] = bibliography(once)

    def figure(self, name: str, figure: Figure, caption: str) -> None:
        """A figure, written to ``figures/NAME.png`` and ``.svg``, embedded in the page as PNG.

        It is shown light and dark; the figure object is recoloured and of no further use to the
        caller.

        Args:
            name: of the files, without ending.
            figure: is recoloured and of no further use to the caller, as it is shown light and
                dark.
            caption: below it.
        """
        light = png(figure)
        figure.set_layout_engine("none")  # it is laid out: the other two need not do it again
        self._vectors[f"{name}.svg"] = svg(figure)
        darken(figure)
        self.picture(name, light, png(figure), caption)

    def picture(self, name: str, light: bytes, dark: bytes, caption: str) -> None:
        """A picture, for light and for dark pages; see :func:`read_pictures`.

        Args:
            name: of the file, without ending.
            light: PNG file on white.
            dark: the same on black.
            caption: below it.
        """
        self._pictures |= {f"{name}.png": light, f"{name}-dark.png": dark}
        text = f"![{caption}](figures/{name}.png)\n\n*{caption}*"
        width, height = struct.unpack(">II", light[16:24])  # of the PNG header
        wide = " wide" if width > 1.5 * height else ""  # scrolls on narrow screens, to be legible
        self._add(text, f'<figure class="scroll{wide}">', "</figure>")

    def page(self) -> str:
        """The HTML page."""
        reader = Markdown(extensions=["tables", "fenced_code"], output_format="html")
        reader.preprocessors.deregister("html_block")  # HTML in a text is shown, not obeyed
        reader.inlinePatterns.deregister("html")
        body = "\n".join(
            before + reader.reset().convert(text) + after for text, before, after in self._parts
        )
        title = html.escape(self._title)
        links = [f'<a href="#{k}">{html.escape(v)}</a>' for k, v in self._sections.items()]
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title}</title><style>{STYLE}</style></head>\n<body>\n"
            f"<h1>{title}</h1>\n<nav>{' '.join(links)}</nav>\n"
            + re.sub(r'<img alt="([^"]*)" src="figures/([^"]*)">', self._embedded, _unbroken(body))
            + "\n</body></html>\n"
        )

    def _embedded(self, image: re.Match[str]) -> str:
        """The picture itself, in place of its file's name."""
        light, dark = (self._pictures[name] for name in (image[2], image[2][:-4] + "-dark.png"))
        return (
            '<picture><source media="(prefers-color-scheme:dark)" '
            f'srcset="{address(dark)}"><img alt="{image[1]}" src="{address(light)}"></picture>'
        )

    def write(self) -> tuple[Path, Path]:
        """Write both files, the figures and ``tables/*.csv`` and ``.tex`` (longtable, booktabs).

        Returns:
            The paths of the Markdown file and the page.
        """
        markdown, page = self.folder / "report.md", self.folder / "report.html"
        with new_folder(self.folder / "tables") as tables:  # those of an earlier report go
            for name, shown in self._frames.items():
                frame = shown.replace(r"\*\*|`", "", regex=True)  # Markdown's marks
                latex = frame.to_latex(index=False, longtable=True, escape=True)
                (tables / f"{name}.csv").write_text(frame.to_csv(index=False), "utf-8")
                (tables / f"{name}.tex").write_text(latex, "utf-8")
        for name, text in self._files.items():
            write_text(self.folder / name, text)
        for name, picture in {**self._pictures, **self._vectors}.items():
            write_bytes(self.folder / "figures" / name, picture)
        texts = [f"# {self._title}", *(text for text, _, _ in self._parts)]
        write_text(markdown, "\n\n".join(texts) + "\n")
        write_text(page, self.page())
        return markdown, page


def _unbroken(body: str) -> str:
    """The page with no line end inside an interval or between a mean, its spread and a number."""
    body = re.sub(r"(\[[-+\d.]+), ([-+\d.]+\])", "\\1,&nbsp;\\2", body)
    body = re.sub(r"(\d\*?) ± ([-+\d.e]+) (\(\d+\))", "\\1 ± \\2&nbsp;\\3", body)
    return re.sub(r"(\d\*?) ± (\d)", "\\1&nbsp;±&nbsp;\\2", body)


def read_pictures(folder: Path, name: str) -> tuple[bytes, bytes] | None:
    """A figure of a finished report for light and for dark pages; None when it has none."""
    paths = [folder / "figures" / f"{name}{end}.png" for end in ("", "-dark")]
    if not all(path.is_file() for path in paths):
        return None
    return paths[0].read_bytes(), paths[1].read_bytes()


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "section"


def svg(figure: Figure) -> bytes:
    """The figure as SVG, the same bytes for the same figure."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "tscl"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    return buffer.getvalue()


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
