"""What a folder with a saved encoder may hold, checked before anything in it is read."""

from __future__ import annotations

import os
from pathlib import Path

from tscl.errors import CheckpointError

CARD, WEIGHTS = "encoder.json", "encoder.safetensors"
ALLOWED = (CARD, WEIGHTS, "method.safetensors", "README.md", "LICENSE", ".gitattributes")
"""Files of a model; the last three come with a hub's repositories."""

PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill", ".npy", ".npz")
_LARGEST_CARD = 16 << 20


def check_name(name: str, field: str = "file name") -> str:
    """A plain file name, without folders.

    Raises:
        CheckpointError: it leads out of the folder, or into another one.
    """
    plain = name not in ("", ".", "..") and not any(c in name for c in "/\\\0:")
    if not plain:
        raise CheckpointError(field, name, "must be a plain file name inside the model's folder")
    return name


def check_folder(folder: Path, card: str = CARD) -> None:
    """Raise CheckpointError unless the folder's card and weights can be read without harm.

    Refused are pickle files by name or content, links that lead out of the folder, and a card of
    more than 16 MiB.
    """
    if folder.is_file():
        kind = "a pickle file" if _is_pickle(folder) else "a file"
        raise CheckpointError(
            "model folder", folder, f"is {kind}; pass the folder that holds {card}"
        )
    if not folder.is_dir():
        raise CheckpointError("model folder", folder, "not found; check the path")
    home = folder.resolve()
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and not path.resolve().is_relative_to(home):
            raise CheckpointError(
                "link", path.name, "leads out of the model's folder; replace it by the file itself"
            )
        if path.is_file() and _is_pickle(path):
            raise CheckpointError(
                "file",
                path.name,
                "is a pickle, which can run code when it is read; models are safetensors and JSON",
            )
    encoder = folder / CARD
    if encoder.is_file() and os.path.getsize(encoder) > _LARGEST_CARD:
        raise CheckpointError("file", CARD, "larger than 16 MiB; no card of this project is")


def _is_pickle(path: Path) -> bool:
    """By ending, or by content: a pickle stream's first bytes, or a zip (torch.save)."""
    if path.suffix.lower() in PICKLES:
        return True
    with path.open("rb") as file:
        start = file.read(4)
    protocol = start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    return protocol or start == b"PK\x03\x04"
