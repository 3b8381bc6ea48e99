"""The page of a report: text goes in safely, code between back ticks, links to headings."""

from __future__ import annotations

from xml.etree import ElementTree

import pandas as pd
from matplotlib.figure import Figure

from tscl.reporting.document import Document
from tscl.reporting.references import Reference


def test_text_is_escaped_and_code_marked(tmp_path):
    document = Document(tmp_path, "a < b")
    document.heading("One & two")
    document.heading("One & two")
    document.paragraph("use `x < 3` <b>not</b> a lone ` tick")
    document.items(["standardised by `trial`"])
    markdown, page = document.write()
    text = page.read_text(encoding="utf-8")
    assert "<title>a &lt; b</title>" in text
    assert "<p>use <code>x &lt; 3</code> &lt;b&gt;not&lt;/b&gt; a lone ` tick</p>" in text
    assert "<li>standardised by <code>trial</code></li>" in text
    assert text.count('href="#one-two"') == text.count('id="one-two"') == 1
    assert text.count('href="#one-two-"') == text.count('id="one-two-"') == 1
    assert "standardised by `trial`" in markdown.read_text(encoding="utf-8")


def test_tables_figures_and_papers_lie_beside_the_page(tmp_path):
    frame = pd.DataFrame({"name": ["a & b_c", "**to do**"], "AUROC": ["0.5 ± 0.1 [0.4, 0.6]", "-"]})
    paper = Reference("Wu and others", "A Title", "2020", "", "arXiv", "2001.00001")
    for text in ("First one", "Second"):  # the second report replaces the first
        document = Document(tmp_path, "Report")
        document.heading(text)
        document.table(frame)
        figure = Figure()
        figure.subplots().plot([0, 1])
        document.figure("line", figure, "a line")
        document.references([paper, paper])
        _, page = document.write()
    assert sorted(p.name for p in (tmp_path / "tables").iterdir()) == [
        "01-second.csv",
        "01-second.tex",
    ]
    kept = pd.read_csv(tmp_path / "tables" / "01-second.csv")
    assert kept["name"].tolist() == ["a & b_c", "to do"]
    latex = (tmp_path / "tables" / "01-second.tex").read_text(encoding="utf-8")
    assert r"a \& b\_c & 0.5 ± 0.1 [0.4, 0.6] \\" in latex
    drawn = ElementTree.parse(tmp_path / "figures" / "line.svg").getroot()
    assert drawn.tag.endswith("svg")
    assert (tmp_path / "references.bib").read_text(encoding="utf-8").count("@misc{wu2020title") == 1
    assert "0.5&nbsp;±&nbsp;0.1 [0.4,&nbsp;0.6]" in page.read_text(encoding="utf-8")
