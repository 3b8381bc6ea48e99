from __future__ import annotations

import hashlib

import pytest
from typer.testing import CliRunner

from tscl.cli.app import app
from tscl.cli.data import checksums, compare, read_list
from tscl.errors import DataError

RUNNER = CliRunner()


@pytest.fixture
def folder(tmp_path):
    data = tmp_path / "data"
    (data / "a").mkdir(parents=True)
    (data / "a" / "one.dat").write_bytes(b"one")
    (data / "two.dat").write_bytes(b"two")
    return data


def test_list_printed_is_the_list_compared_with(folder, tmp_path):
    printed = RUNNER.invoke(app, ["data", "checksum", str(folder)])
    expected = hashlib.sha256(b"one").hexdigest()
    assert printed.output.splitlines()[0] == f"{expected}  a/one.dat"
    sums = tmp_path / "SHA256SUMS.txt"
    sums.write_text(printed.output)
    assert read_list(sums) == checksums(folder)
    good = RUNNER.invoke(app, ["data", "checksum", str(folder), "--against", str(sums)])
    assert good.exit_code == 0
    assert good.output == "2 equal, 0 differ, 0 missing\n"
    (folder / "two.dat").write_bytes(b"twO")
    (folder / "a" / "one.dat").unlink()
    bad = RUNNER.invoke(app, ["data", "checksum", str(folder), "--against", str(sums)])
    assert bad.exit_code == 1
    assert bad.output.splitlines() == [
        "differs: two.dat",
        "missing: a/one.dat",
        "0 equal, 1 differ, 1 missing",
    ]


def test_a_file_alone_and_marks_of_binary_lists(folder, tmp_path):
    value = hashlib.sha256(b"two").hexdigest()
    assert checksums(folder / "two.dat") == {"two.dat": value}
    sums = tmp_path / "sums"
    sums.write_text(f"{value.upper()} *./two.dat\n\n")
    assert compare(folder, read_list(sums)).equal == ["two.dat"]


def test_bad_lists_and_folders_are_named(folder, tmp_path):
    sums = tmp_path / "sums"
    sums.write_text("abc two.dat\n")
    with pytest.raises(DataError, match="line 1"):
        read_list(sums)
    with pytest.raises(DataError, match="cannot be read"):
        read_list(tmp_path / "none")
    with pytest.raises(DataError, match="no such"):
        checksums(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no files"):
        checksums(tmp_path / "empty")
    with pytest.raises(DataError, match="below the folder"):
        compare(folder, {"../sums": "0" * 64})
