"""Seeded damage to files: flips, cuts, insertions, edits of a header's numbers and words."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Callable

import numpy as np

Rng = np.random.Generator

NUMBERS = (
    *(b"0", b"-1", b"1", b"2", b"255", b"65536", b"2147483647", b"-2147483648", b"4294967296"),
    *(b"9223372036854775807", b"1000000000000", b"9" * 40, b"9" * 5000, b"1e308", b"1e309"),
    *(b"-1e309", b"1e-320", b"NaN", b"inf", b"0.0", b"-0", b"0x10", b"1_000", b"08", b"1e5"),
)
WORDS = (
    *(b"../../../etc/passwd", b"/etc/passwd", b"..\\..\\x", b"C:\\x.dat", b"~/x", b"http://a.b/c"),
    *(b"s3://bucket/x", b"file:///etc/passwd", b"\x00", b"", b" ", b"%s%n", b"null", b"None"),
    *(b"true", b"[]", b"{}", b"[" * 3000, b"{" * 900, b"(" * 500, b"\xff\xfe", b"\xc3\x28"),
    *(b"*a", b"&a [*a]", b"!!python/object/apply:os.system ['id']", b"<<: *x", b"? [a]", b"- - -"),
    *(b"__import__('os').system('id')", b"cos\nsystem\n(S'id'\ntR.", b"2001-13-45", b"1:60:99"),
    *("é".encode(), "\u202e".encode(), b"\r", b"\n\n", b",", b"\t", b'"', b"=", b"#", b"@data"),
)
BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % ((c, c) + (c - 1,) * 9)
    for c in range(98, 108)
)
EXTREMES = tuple(
    struct.pack(order + kind, value)
    for order in "<>"
    for kind, value in (
        *(("i", -1), ("i", 2**31 - 1), ("i", -(2**31)), ("h", -32768), ("h", 32767)),
        *(("q", 2**63 - 1), ("q", -1), ("I", 2**30), ("d", float("nan")), ("d", 1e308)),
        *(("f", float("inf")), ("f", float("nan"))),
    )
)


def _span(content: bytes, rng: Rng, longest: int = 64) -> tuple[int, int]:
    start = int(rng.integers(0, len(content) + 1))
    return start, min(len(content), start + int(rng.integers(1, longest + 1)))


def flip(content: bytes, rng: Rng) -> bytes:
    """Change bits of one to four bytes."""
    out = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        if out:
            out[int(rng.integers(len(out)))] ^= 1 << int(rng.integers(8))
    return bytes(out)


def truncate(content: bytes, rng: Rng) -> bytes:
    """Cut the end off."""
    return content[: int(rng.integers(len(content) + 1))]


def insert(content: bytes, rng: Rng) -> bytes:
    """Put random bytes somewhere."""
    at = int(rng.integers(len(content) + 1))
    return content[:at] + rng.bytes(int(rng.integers(1, 40))) + content[at:]


def delete(content: bytes, rng: Rng) -> bytes:
    """Take a piece out."""
    start, stop = _span(content, rng)
    return content[:start] + content[stop:]


def repeat(content: bytes, rng: Rng) -> bytes:
    """Repeat a piece up to 200 times."""
    start, stop = _span(content, rng)
    return content[:start] + content[start:stop] * int(rng.integers(2, 200)) + content[stop:]


def extreme(content: bytes, rng: Rng) -> bytes:
    """Overwrite bytes by an extreme binary number."""
    value = EXTREMES[int(rng.integers(len(EXTREMES)))]
    near = min(len(content), 512) if rng.random() < 0.7 else len(content)
    at = int(rng.integers(near + 1))
    return content[:at] + value + content[at + len(value) :]


def _replace_one(content: bytes, pattern: bytes, words: tuple[bytes, ...], rng: Rng) -> bytes:
    head = content[:20_000]
    places = list(re.finditer(pattern, head))
    if not places:
        return flip(content, rng)
    place = places[int(rng.integers(len(places)))]
    word = words[int(rng.integers(len(words)))]
    if rng.random() < 0.5 and len(word) <= place.end() - place.start():
        word = word.ljust(place.end() - place.start())  # keeps the columns of a binary header
    return content[: place.start()] + word + content[place.end() :]


def number(content: bytes, rng: Rng) -> bytes:
    """Replace a number by an extreme one."""
    return _replace_one(content, rb"[-+]?\d+(?:\.\d+)?", NUMBERS, rng)


def word(content: bytes, rng: Rng) -> bytes:
    """Replace a word by a path, a tag, a bracket, ..."""
    return _replace_one(content, rb"[A-Za-z_./][\w./-]*", WORDS, rng)


def lines(content: bytes, rng: Rng) -> bytes:
    """Drop, repeat or exchange lines."""
    parts = content.split(b"\n")
    one, other = (int(rng.integers(len(parts))) for _ in range(2))
    kind = int(rng.integers(3))
    if kind == 0:
        del parts[one]
    elif kind == 1:
        parts.insert(other, parts[one])
    else:
        parts[one], parts[other] = parts[other], parts[one]
    return b"\n".join(parts)


def bomb(content: bytes, rng: Rng) -> bytes:
    """Aliases that double: nine to the tenth values in some hundred bytes."""
    return BOMB + content if rng.random() < 0.5 else content + b"\n" + BOMB


BINARY: tuple[Callable[[bytes, Rng], bytes], ...] = (
    *(flip, flip, truncate, insert, delete, repeat, extreme, extreme, number, word),
)
TEXT: tuple[Callable[[bytes, Rng], bytes], ...] = (
    *(flip, truncate, insert, delete, repeat, number, number, number, word, word, lines, lines),
)


def mutate(content: bytes, rng: Rng, *, text: bool) -> bytes:
    """One to three damages in a row."""
    kinds = TEXT if text else BINARY
    for _ in range(int(rng.integers(1, 4))):
        content = kinds[int(rng.integers(len(kinds)))](content, rng)
    if text and rng.random() < 0.01:
        content = bomb(content, rng)
    return content


def mutate_zip(content: bytes, rng: Rng) -> bytes:
    """Damage one member of a zip archive and pack it again; sometimes rename or repeat it."""
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        members = [(one.filename, source.read(one)) for one in source.infolist()]
    chosen = int(rng.integers(len(members)))
    name, data = members[chosen]
    kind = rng.random()
    if kind < 0.1:
        name = ("../" * int(rng.integers(1, 5)) + name, "/tmp/" + name)[int(rng.integers(2))]
    elif kind < 0.15:
        members.append((name, data))
    elif kind < 0.2:
        data = data + b"\0" * 30_000_000
    else:
        data = mutate(data, rng, text=False)
    members[chosen] = (name, data)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for one, values in members:
            target.writestr(one or "x", values)
    return out.getvalue()
