"""References of methods and data sets, read where each is defined, as BibTeX.

A reference is written ``Chen et al., "A Simple Framework ...", ICML 2020, arXiv 2002.05709``:
authors, the title in double quotes, where it appeared (may be left out), and an arXiv number or a
DOI. Methods, losses and encoders have it in their module's docstring, data sets in their ``source``
under ``cite``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass

_WORD = r"(?:(?:[Vv]an|den|der|de) )*[A-ZÀ-Ž][\w'’-]+(?: [A-Z])?"
_PATTERN = re.compile(
    rf"(?P<authors>{_WORD}(?:(?:, | and | & ){_WORD})*(?: et al\.)?)"
    r'(?: (?P<first>\d{4}))?, "(?P<title>[^"]+)"'
    r"(?:, (?P<venue>[^,()\"]*?))?(?: (?P<year>\d{4}))?, "
    r"(?P<kind>arXiv|doi) (?P<id>(?:[\w/.-]|\(\w+\))*\w)"
)


@dataclass(frozen=True)
class Reference:
    """A paper.

    Attributes:
        authors: as ``and``-separated names; ``others`` for those who are not named.
        title: of the paper.
        year: of four digits.
        venue: journal or conference; may be empty.
        kind: ``arXiv`` or ``doi``.
        number: its number there.
    """

    authors: str
    title: str
    year: str
    venue: str
    kind: str
    number: str

    def bibtex(self) -> str:
        """The entry; its key is the first author's name, the year and the title's first word."""
        word = next((w for w in re.findall(r"[A-Za-z]+", self.title) if len(w) > 2), "paper")
        authors = self.authors.split(" and ")
        name = re.sub(r"[^A-Za-z]", "", authors[0])
        fields = {
            "author": " and ".join(f"{{{author}}}" for author in authors).replace(
                "{others}", "others"
            ),
            "title": f"{{{self.title}}}",
            "year": self.year,
            **({"journal": self.venue} if self.venue else {}),
            **(
                {"eprint": self.number, "archiveprefix": "arXiv"}
                if self.kind == "arXiv"
                else {"doi": self.number}
            ),
        }
        kind = "article" if self.venue else "misc"
        lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        return f"@{kind}{{{name.lower()}{self.year}{word.lower()},\n{lines}\n}}\n"

    def __str__(self) -> str:
        names = self.authors.split(" and ")
        shown = f"{names[0]} et al." if names[-1] == "others" else ", ".join(names)
        place = f"{self.venue} {self.year}" if self.venue else self.year
        return f"{shown}: {self.title}. {place}, {self.kind} {self.number}."


def read_references(text: str | None) -> list[Reference]:
    """References in a text of the form of this module's docstring; none in an empty text.

    Example:
        >>> (paper,) = read_references('Wang & Isola, "A Title", ICML 2020, arXiv 2005.10242.')
        >>> print(paper)
        Wang, Isola: A Title. ICML 2020, arXiv 2005.10242.
    """
    papers = []
    for match in _PATTERN.finditer(" ".join((text or "").split())):
        authors = re.sub(r" et al\.$", " and others", match["authors"])
        authors = re.sub(r", | & ", " and ", authors)
        year = match["year"] or match["first"] or ""
        if not year and match["kind"] == "arXiv":
            year = f"20{match['id'][:2]}"
        if year:
            title, venue = match["title"], match["venue"] or ""
            papers.append(Reference(authors, title, year, venue, match["kind"], match["id"]))
    return papers


def references_of(objects: Iterable[object]) -> list[Reference]:
    """References in the docstrings of the objects' classes and of the modules they stand in.

    Args:
        objects: such as the modules of a method; classes stand for themselves.
    """
    kinds = dict.fromkeys(thing if isinstance(thing, type) else type(thing) for thing in objects)
    homes = [(sys.modules[kind.__module__], kind) for kind in kinds]
    texts = [place.__doc__ for pair in homes for place in pair]
    return list(dict.fromkeys(paper for text in texts for paper in read_references(text)))


def bibliography(papers: Iterable[Reference]) -> str:
    """The text of a ``.bib`` file."""
    return "\n".join(paper.bibtex() for paper in papers)
