"""A save takes the place of nothing, an empty folder or an earlier save, and of nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tscl.disk import check_replaceable
from tscl.errors import InputError

KNOWN = ("card.json", "part/", "part/card.json")


def test_what_may_be_replaced(tmp_path: Path):
    check_replaceable(tmp_path / "absent", "card.json", KNOWN)
    check_replaceable(tmp_path, "card.json", KNOWN)
    (tmp_path / "part").mkdir()
    for name in KNOWN[::2]:
        (tmp_path / name).write_text("{}")
    check_replaceable(tmp_path, "card.json", KNOWN)


@pytest.mark.parametrize("name", ["thesis.tex", "part/thesis.tex", "card.json/", ".hidden", "dir/"])
def test_other_files_are_refused_by_name(tmp_path: Path, name: str):
    (tmp_path / "part").mkdir()
    if name != "card.json/":
        (tmp_path / "card.json").write_text("{}")
    (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).write_text("x")
    with pytest.raises(InputError, match=name) as caught:
        check_replaceable(tmp_path, "card.json", KNOWN)
    assert str(tmp_path) in str(caught.value)


def test_files_links_and_folders_without_a_card_are_refused(tmp_path: Path):
    (tmp_path / "part").mkdir()
    with pytest.raises(InputError, match=r"no card\.json"):
        check_replaceable(tmp_path, "card.json", KNOWN)
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("x")
    link.symlink_to(tmp_path / "nowhere")
    for path, told in ((file, "is a file"), (link, "is a link")):
        with pytest.raises(InputError, match=told):
            check_replaceable(path, "card.json", KNOWN)
