"""What the processes of one test run; in a module of its own that imports little."""

from __future__ import annotations

from tscl.errors import InputError


def refuse(value: str) -> None:
    raise InputError("batch_size", value, "this one is meant to fail")
