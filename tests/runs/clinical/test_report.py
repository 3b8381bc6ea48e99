from __future__ import annotations

import base64
import re
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from data_loaders.splits.leakage import leakage_statement
from tests.evaluation.clinical.clinical_parts import TinyEncoder, cohort, thirds
from tscl.errors import InputError, MissingExtraError
from tscl.evaluation.clinical.evaluate import evaluate_with_baselines, pooled_embeddings
from tscl.evaluation.clinical.table import summarise
from tscl.evaluation.metrics.classification import classification_metrics
from tscl.reporting.document import STYLE, markdown_table
from tscl.runs.clinical import figures
from tscl.runs.clinical.figures import (
    calibration_figure,
    confusion_figure,
    embedding_figure,
    roc_pr_figure,
)
from tscl.runs.clinical.report import (
    EmbeddingData,
    ReportText,
    _by_share,
    _prediction_plots,
    _readable,
    clinical_report,
)
from tscl.runs.clinical.tables import class_table, compact_table, figure_text, wide_table
from tscl.saving.cells import Cell


def _predictions(k: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, k, 60), rng.dirichlet(np.ones(k), 60)


def test_curves_hold_the_areas_and_leave_pyplot_alone() -> None:
    y = np.array([0, 0, 1, 1])
    p1 = np.array([0.1, 0.6, 0.4, 0.9])
    figure = roc_pr_figure({"mine": [(y, np.stack([1 - p1, p1], axis=1))]})
    assert isinstance(figure, Figure)
    texts = [t.get_text() for axes in figure.axes for t in axes.get_legend().get_texts()]
    assert "mine (area 0.750)" in texts
    assert "mine (average precision 0.833)" in texts
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_curves_of_three_classes_and_of_one_class() -> None:
    y, proba = _predictions(3)
    figure = roc_pr_figure({"mine": [(y, proba)]})
    assert "mean over classes" in figure.axes[0].get_title()
    metrics = classification_metrics(y, proba)
    texts = [t.get_text() for axes in figure.axes for t in axes.get_legend().get_texts()]
    assert f"mine (area {metrics.auroc:.3f})" in texts
    drawn = figure.axes[0].lines[0]
    assert np.trapezoid(drawn.get_ydata(), drawn.get_xdata()) == pytest.approx(
        metrics.auroc, abs=0.01
    )
    alone = roc_pr_figure({"mine": [(np.ones(4, int), np.full((4, 2), 0.5))]})
    labels = [t.get_text() for t in alone.axes[0].get_legend().get_texts()]
    assert "mine (one class only)" in labels


def test_every_seed_is_drawn_and_the_mean_over_them() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    p = [np.clip(0.3 * y + rng.uniform(0, 0.7, 60), 0, 1) for _ in range(3)]
    figure = roc_pr_figure({"mine": [(y, np.stack([1 - one, one], axis=1)) for one in p]})
    lines = [line for line in figure.axes[0].lines if line.get_label() != "chance"]
    assert len(lines) == 4
    heights = np.stack([line.get_ydata() for line in lines])
    np.testing.assert_allclose(heights[-1], heights[:3].mean(axis=0))


def test_confusion_figure_shows_the_counts() -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    two = {"by sample": ([0, 0, 1], p), "by patient": ([0, 1], p[:2])}
    figure = confusion_figure(two, names=["healthy", "ill"])
    shown = [[t.get_text() for t in axes.texts] for axes in figure.axes[:2]]
    assert shown[0] == ["1\n50%", "1\n50%", "0\n0%", "1\n100%"]
    assert shown[1] == ["1\n100%", "0\n0%", "0\n0%", "1\n100%"]
    with pytest.raises(InputError):
        confusion_figure({})


def test_calibration_figure_names_the_error() -> None:
    figure = calibration_figure({"sure": ([0, 1], np.array([[0.0, 1.0], [1.0, 0.0]]))})
    labels = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert "sure (ECE 1.000)" in labels


def test_embedding_figure_panels_and_choice_of_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "MOST_POINTS", 20)
    rng = np.random.default_rng(0)
    embeddings, label = rng.standard_normal((50, 4)), np.arange(50) % 2
    figure = embedding_figure(embeddings, label, np.arange(50) // 5, umap=False)
    assert len(figure.axes) == 2
    assert len(figure.axes[0].collections[0].get_offsets()) == 20
    with pytest.raises(InputError):
        embedding_figure(embeddings[:, :1], label, label)
    with pytest.raises(InputError):
        embedding_figure(embeddings, label[:3], label)


def test_embedding_umap_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    embeddings, label = np.random.default_rng(0).standard_normal((20, 3)), np.arange(20) % 2
    assert len(embedding_figure(embeddings, label, label).axes) == 2
    with pytest.raises(MissingExtraError, match="umap"):
        embedding_figure(embeddings, label, label, umap=True)


def test_clinical_report_is_whole_and_self_contained(tmp_path: Path) -> None:
    data = cohort(12, 2, 3)
    split = thirds(data)
    encoder = TinyEncoder()
    cells = evaluate_with_baselines(
        {"<mine> & co": encoder},
        data,
        split,
        fresh=TinyEncoder,
        protocols=["partial", "full"],
        fractions=[1.0, 0.2],
        seeds=[0, 1],
        finetune={"epochs": 2},
    )
    test = split["test"]
    backend = matplotlib.get_backend()
    files = clinical_report(
        tmp_path / "report",
        cells,
        ReportText(
            "Cohort <1>",
            leakage_statement(data, split),
            notes=["short <run>"],
            tables={"Further": pandas.DataFrame({"epoch": [1], "score": [0.5]})},
            configuration="seed: 0",
        ),
        label_names=data.label_names,
        embedding=EmbeddingData(
            pooled_embeddings(encoder, data.X, test), data.label[test], data.patient[test]
        ),
        umap=False,
        n_replicates=20,
    )
    assert matplotlib.get_backend() == backend
    text, page = files.markdown.read_text(), files.html.read_text()
    for method in ("random encoder", "supervised", "band power"):
        assert method in text
        assert method in page
    assert "No patient and no trial stands in more than one part" in text
    assert "<mine> & co" in text
    assert "<mine>" not in page
    assert "&lt;mine&gt; &amp; co" in page
    images = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    linked = re.findall(r"\]\((figures/[^)]+)\)", text)
    assert len(images) == len(linked) == 5
    for code, name in zip(images, linked, strict=True):
        assert base64.b64decode(code) == (files.markdown.parent / name).read_bytes()
    # four letters of a picture's base64 may read "http" by chance, so the pictures are cut out
    assert "http" not in re.sub(r'src(set)?="data:image/png;base64,[^"]+"', "", page)
    assert len(files.table.read_text().splitlines()) > 100
    assert page.count("<style>") == 1
    assert STYLE in page
    for heading in ("Calibration", "Confusion", "Further", "All metrics", "Configuration"):
        assert f"## {heading}" in text
        assert f">{heading}</h2>" in page
    for level in ("sample", "trial", "patient"):
        assert f"By {level}, by share" in text
    assert "<li>short &lt;run&gt;</li>" in page
    _one_colour_a_method(cells, summarise(cells, n_replicates=0))
    with pytest.raises(InputError, match="primary"):
        clinical_report(tmp_path, cells, ReportText("", ""), primary="none", n_replicates=0)


def _one_colour_a_method(cells: list[Cell], table: pandas.DataFrame) -> None:
    """The first figure's colours are those of the curves and of the calibration."""
    shares = _by_share(table)
    assert shares is not None
    colours = {t.get_text(): t.get_color() for t in shares[0].axes[0].texts}
    assert len(colours) == len(set(colours.values())) == 4
    for plot in _prediction_plots(cells, "<mine> & co", ["healthy", "ill"])[:2]:
        lines = [n for axes in plot.figure.axes for n in axes.lines]
        drawn = {str(n.get_label()): (n.get_color(), n.get_linestyle()) for n in lines}
        for method, colour in colours.items():
            own = [style for name, style in drawn.items() if name.startswith(f"{method}, ")]
            assert {c for c, _ in own} == {colour}, plot.name
            assert len({dash for _, dash in own}) >= (2 if method == "<mine> & co" else 1)


def test_report_draws_one_curve_a_method_when_there_are_many() -> None:
    few = [("a", "full", "d"), ("a", "partial", "d")]
    assert _readable(few, "m0") == few
    many = [(f"m{i}", p, "d") for i in range(8) for p in ("full", "partial")]
    assert _readable(many, "m0") == [(f"m{i}", "partial", "d") for i in range(8)]
    assert len(_readable([(f"m{i}", "knn", "d") for i in range(14)], "m0")) == 10
    variants = [("a", "knn", "d"), *((f"a, v{i}", "knn", "d") for i in range(9))]
    others = [(f"b{i}", "knn", "d") for i in range(8)]
    assert _readable([*variants, *others], "a") == [variants[0], *others, variants[1]]


def test_markdown_table_escapes_and_wide_table_refuses_nothing() -> None:
    text = markdown_table(pandas.DataFrame({"a": ["x|y"], "b": [1]}))
    assert text.splitlines() == ["| a | b |", "| --- | --- |", "| x\\|y | 1 |"]
    with pytest.raises(InputError):
        wide_table(pandas.DataFrame())


def test_compact_table_and_what_it_leaves_out() -> None:
    base = {"method": "m", "protocol": "p", "metric": "auroc", "level": "sample"}
    known = {"std": 0.1, "ci_low": 0.2, "ci_high": 0.9}
    rows = [
        {**base, **known, "data": "d", "fraction": 1.0, "by": "all", "mean": 0.5},
        {**base, **known, "data": "d", "fraction": 0.1, "by": "patients", "mean": 0.25},
        {**base, **known, "data": "d", "fraction": 0.1, "by": "patients", "mean": 1, "level": "x"},
    ]
    frame = compact_table(pandas.DataFrame(rows), "auroc", "sample")
    assert frame.to_dict("records") == [
        {
            "method": "m",
            "protocol": "p",
            "100 %": "0.500 ± 0.100 [0.20, 0.90]",
            "10 % of patients": "0.250 ± 0.100 [0.20, 0.90]",
        }
    ]
    two = [rows[0], {**rows[0], "data": "e", "mean": 0.75}]
    frame = compact_table(pandas.DataFrame(two), "auroc", "sample")
    assert frame["data"].tolist() == ["d", "e"]
    nan = float("nan")
    assert figure_text({"mean": nan}) == "n/a"
    assert figure_text({"mean": 0.5, "std": 0.0, "ci_low": nan}) == "0.500"


def _cell(y: np.ndarray, proba: np.ndarray, seed: int) -> Cell:
    key = {"data": "d", "method": "m", "protocol": "partial", "fraction": 0.5, "by": "samples"}
    arrays = {"y": y, "proba": proba, "patient": np.arange(len(y)), "trial": np.arange(len(y))}
    return Cell(key | {"seed": seed, "fold": 0}, {}, arrays)


def test_every_class_has_its_own_figures() -> None:
    """Against scikit-learn, one class against the rest."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    proba = [rng.dirichlet(1 + 3 * np.eye(3)[k]) for k in y]
    frame = class_table([[_cell(y, np.asarray(proba), 0)]], ["a", "b", "c"], 50).set_index("class")
    predicted = np.argmax(proba, axis=1)
    for code, name in enumerate("abc"):
        own, said = y == code, predicted == code
        area = roc_auc_score(own, np.asarray(proba)[:, code])
        assert frame.loc[name, "AUROC"].startswith(f"{area:.3f} [")
        assert frame.loc[name, "sensitivity"] == f"{recall_score(own, said):.3f}"
        assert frame.loc[name, "specificity"] == f"{recall_score(~own, ~said):.3f}"
        assert frame.loc[name, "positive predictive value"] == f"{precision_score(own, said):.3f}"


def test_intervals_hold_the_chance_of_drawn_labels() -> None:
    """Two seeds that disagree: their spread widens the interval of the mean."""
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2

    def cell(seed: int, shift: float) -> Cell:
        p = 1 / (1 + np.exp(-rng.normal(shift * (2 * y - 1), 1)))
        return _cell(y, np.stack([1 - p, p], axis=1), seed)

    def width(cells: list[Cell]) -> float:
        table = summarise(cells, n_replicates=300)
        table = table[table["level"] == "sample"].set_index("metric")
        return float(table.loc["auroc", "ci_high"] - table.loc["auroc", "ci_low"])

    same = width([cell(0, 0.7), cell(1, 0.7)])
    apart = width([cell(0, 0.1), cell(1, 2.0)])
    assert apart > 3 * same
