"""The documentation site builds without a warning and loads nothing from the network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="the docs extra is not installed")
ROOT = Path(__file__).resolve().parents[2]
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
LINK_KINDS = {"stylesheet", "icon", "preload", "preconnect", "dns-prefetch"}


class Addresses(HTMLParser):
    """Addresses a browser fetches when it opens the page, and the targets of links."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "link" and not LINK_KINDS & set((values.get("rel") or "").split()):
            return
        if tag in LOADED and values.get(LOADED[tag]):
            self.fetched.append(values[LOADED[tag]] or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_every_page_is_built_and_needs_no_network(site):
    pages = {path.relative_to(site).as_posix(): path for path in site.rglob("*.html")}
    for source in (ROOT / "docs").rglob("*.md"):
        name = source.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        assert name in pages
    for name, path in pages.items():
        reader = Addresses()
        reader.feed(path.read_text(encoding="utf-8"))
        outside = [one for one in reader.fetched if re.match(r"(https?:)?//", one)]
        assert not outside, (name, outside)
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"(url\(|@import )['\"]?(https?:)?//", text), style


@pytest.mark.slow
def test_every_page_is_in_the_navigation_once(site):
    home = (site / "index.html").read_text(encoding="utf-8")
    links = re.findall(r'<a href="([^"#]+)" class="md-nav__link"', home)
    assert len(links) == len(set(links))
    pages = {p.relative_to(ROOT / "docs").with_suffix(".html") for p in ROOT.glob("docs/**/*.md")}
    assert {page.as_posix() for page in pages} <= {*links, "index.html"}


@pytest.mark.slow
def test_equations_are_mathml_and_roles_are_links(site):
    comet = (site / "methods" / "comet.html").read_text(encoding="utf-8")
    assert comet.count("<math") >= 5
    assert "arithmatex" not in comet
    api = (site / "api" / "losses.html").read_text(encoding="utf-8")
    assert 'id="tscl.losses.InfoNCE"' in api
    assert not re.search(r":(func|class|meth|mod|data):", api)
