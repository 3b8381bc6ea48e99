"""What a page of a report holds, read with the standard library."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
from matplotlib.image import imread

VOID = {"meta", "img", "source", "br", "hr", "link", "input"}
DATA = "data:image/png;base64,"


class Page(HTMLParser):
    """Reads a page and checks that every tag is closed in order.

    Attributes:
        pictures: pixels (H, W, 4) of every light picture. dark: of every dark one.
        addresses: every address that is not a picture in the page.
        tables: cells of every table, row by row, the head first.
        headings: texts of h2.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pictures: list[np.ndarray] = []
        self.dark: list[np.ndarray] = []
        self.addresses: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.headings: list[str] = []
        self.alts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open
        styles = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
        self.addresses += re.findall(r"url\(([^)]*)\)|@import", " ".join(styles))

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        assert tag != "script"
        for name, value in attrs:
            if name in ("src", "srcset", "href") and value:
                if value.startswith(DATA):
                    pixels = imread(io.BytesIO(base64.b64decode(value[len(DATA) :], validate=True)))
                    (self.dark if name == "srcset" else self.pictures).append(pixels)
                else:
                    self.addresses.append(value)
            if name == "alt":
                self.alts.append(value)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag == "h2":
            self.headings.append("")

    def handle_endtag(self, tag):
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data
        if self.open and self.open[-1] == "h2":
            self.headings[-1] += data
