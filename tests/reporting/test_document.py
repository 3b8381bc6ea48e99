"""The page of a report: text goes in safely, code between back ticks, links to headings."""

from __future__ import annotations

import pandas as pd

from tscl.reporting.document import Document, starred


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


def test_the_best_of_each_column_has_a_star():
    frame = pd.DataFrame(
        {"row": ["9 a", "b", "c"], "x": ["0.90 [0.8, 0.9]", "0.95 [0, 1]", "-"], "y": [2, -3, -3]}
    )
    high, low = starred(frame, 1, "high"), starred(frame, 1, "low")
    assert high.to_numpy().tolist() == [
        ["9 a", "0.90 [0.8, 0.9]", "2*"],
        ["b", "0.95* [0, 1]", "-3"],
        ["c", "-", "-3"],
    ]
    assert low["y"].tolist() == ["2", "-3*", "-3*"]
    assert starred(frame[:1], 1, "high").iloc[0, 1] == "0.90 [0.8, 0.9]"  # nothing to beat
