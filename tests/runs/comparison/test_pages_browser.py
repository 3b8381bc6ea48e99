"""Every kind of HTML page in headless Chromium: offline, on a narrow screen, in the dark."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import pytest

from tests.runs.small_runs import clinical_run, forecasting_run, study
from tscl.runs.comparison.page import write_comparison

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, NAMES)), "")
pytestmark = pytest.mark.skipif(
    not BROWSER,
    reason=f"none of {', '.join(NAMES)} on the path; on Debian: apt-get install chromium",
)
HARNESS = """<!doctype html><html><body style="margin:0"><pre id="out"></pre><script>
function look(frame) {
  const inner = frame.contentDocument, root = inner.documentElement;
  const images = [...inner.images];
  // words of table cells that stand on two lines, but those of code
  const broken = [], walk = inner.createTreeWalker(inner.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode, cell = node.parentElement.closest("td,th");
    if (!cell || node.parentElement.closest("code")) continue;
    for (const word of node.data.matchAll(/\\p{L}+/gu)) {
      const range = inner.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(one => one.top)).size > 1) broken.push(word[0]);
    }
  }
  const style = frame.contentWindow.getComputedStyle(inner.body);
  document.getElementById("out").textContent = JSON.stringify({
    images: images.map(one => one.complete ? one.naturalWidth : 0),
    dark: images.map(one => one.currentSrc !== one.src),
    width: root.scrollWidth, screen: frame.clientWidth,
    ink: style.color, ground: style.backgroundColor,
    requests: frame.contentWindow.performance.getEntriesByType("resource")
      .map(one => one.name).filter(one => !one.startsWith("data:")),
    broken: broken,
    overlaps: [...inner.querySelectorAll("td,th")]
      .filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.textContent),
  });
}
</script><iframe style="width:%dpx;height:900px;border:0" onload="look(this)" srcdoc="%s"></iframe>
</body></html>"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, str]:
    base = tmp_path_factory.mktemp("runs")
    runs = [forecasting_run(base / "forecasting", seed=1), clinical_run(base / "clinical")]
    runs.append(study(base / "study"))
    files = {run.name: run / "report.html" for run in runs}
    files["comparison"] = write_comparison(runs, base / "page.html")
    return {name: file.read_text(encoding="utf-8") for name, file in files.items()}


def luminance(colour: str) -> float:
    """Relative luminance (WCAG) of ``rgb(r, g, b)``."""
    parts = [int(v) / 255 for v in re.findall(r"\d+", colour)[:3]]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def shown(text: str, folder, width: int, *, dark: bool) -> dict:
    """What the browser made of the page."""
    file = folder / "harness.html"
    file.write_text(HARNESS % (width, html.escape(text, quote=True)), encoding="utf-8")
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={folder / 'profile'}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        "--virtual-time-budget=20000",
        "--window-size=1400,1000",
        "--dump-dom",
        file.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=1800)
    found = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    assert found[1], done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize(
    ("name", "width", "dark", "figures"),
    [
        ("comparison", 1200, False, 5),
        ("comparison", 360, False, 5),
        ("comparison", 360, True, 5),
        ("clinical", 1200, False, 4),  # two patients are too few for curves by patient
        ("clinical", 360, True, 4),
        ("forecasting", 360, True, 3),
        ("study", 360, False, 1),
    ],
)
def test_page_is_readable(pages, tmp_path, name, width, dark, figures):
    seen = shown(pages[name], tmp_path, width, dark=dark)
    assert len(seen["images"]) >= figures
    assert min(seen["images"]) > 200
    assert seen["dark"] == [dark] * len(seen["images"])
    assert seen["requests"] == []
    assert seen["width"] <= seen["screen"]
    assert seen["overlaps"] == []
    assert seen["broken"] == []
    ink, ground = luminance(seen["ink"]), luminance(seen["ground"])
    contrast = (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05)
    assert contrast > 7
    assert (ground < ink) == dark
