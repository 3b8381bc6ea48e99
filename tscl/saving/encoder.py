"""A trained encoder as a directory: safetensors weights and a JSON card, never pickle."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from tscl import __version__
from tscl.disk import sha256_of
from tscl.encoders.base import ENCODERS, Encoder
from tscl.errors import CheckpointError, InputError
from tscl.saving.card import ModelCard, versions
from tscl.saving.tensors import (
    check_tensors,
    load_module,
    load_tensors,
    read_json,
    save_tensors,
    sha256_of_json,
    write_json,
)

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


FORMAT = 2
"""Format 1 had no checksum of the JSON values; it is still read."""


def save_encoder(
    folder: Path,
    encoder: nn.Module,
    card: ModelCard | Mapping[str, Any] | None = None,
    *,
    half: bool = False,
) -> None:
    """Write ``encoder.safetensors`` and ``encoder.json`` into ``folder``.

    Args:
        folder: made when missing.
        encoder: a registered encoder.
        card: what is known about it: a :class:`tscl.saving.card.ModelCard`, or a mapping
            of JSON values, to which the versions of this environment are added.
        half: keep matrices and kernels in float16, half the size; vectors, among them the figures
            of norms, stay as they are. Loaded weights are in the type of the encoder either way.

    Raises:
        InputError: the encoder is not a registered one and could not be rebuilt.
    """
    name = getattr(encoder, "name", None)
    if not isinstance(encoder, Encoder) or name not in ENCODERS.names():
        raise InputError(
            "encoder", type(encoder).__name__, "register the class in ENCODERS to save it by name"
        )
    facts = (
        card.as_dict()
        if isinstance(card, ModelCard)
        else {"versions": versions()} | dict(card or {})
    )
    state = encoder.state_dict()
    if half:
        state = {
            k: v.half() if v.is_floating_point() and v.ndim > 1 else v for k, v in state.items()
        }
    save_tensors(folder / WEIGHTS, state)
    head = {
        "format": FORMAT,
        "tscl": __version__,
        "encoder": name,
        "config": encoder.config(),
        "causal": encoder.causal,
        "receptive_field": encoder.receptive_field,
        "weights": WEIGHTS,
        "sha256": sha256_of(folder / WEIGHTS),
    }
    head |= {"head_sha256": sha256_of_json(head), "card": facts}
    write_json(folder / CARD, head)


def update_card(folder: Path, **facts: Any) -> None:
    """Replace some entries of a saved encoder's card, such as ``metrics`` or ``licence``.

    Raises:
        CheckpointError: no card in ``folder``, or a damaged one.
    """
    head = _read_head(folder)
    head["card"] = dict(head.get("card", {})) | facts
    write_json(folder / CARD, head)


def load_encoder(folder: str | Path) -> tuple[Encoder, dict[str, Any]]:
    """Rebuild an encoder saved by :func:`save_encoder`; returns it with its card.

    Nothing in the folder is executed: weights are safetensors, the rest is JSON, and the encoder is
    a registered one. Its shapes are compared with the weights before memory is taken for it.

    Raises:
        CheckpointError: pickle files, links or names that lead out of the folder, a missing or
            damaged file, another format, missing, unexpected or misshapen tensors.
    """
    folder = Path(folder)
    check_folder(folder)
    head = _read_head(folder)
    weights = folder / check_name(str(head.get("weights", WEIGHTS)), "weights")
    if not weights.is_file() or sha256_of(weights) != head.get("sha256"):
        raise CheckpointError(weights.name, folder, "missing, damaged or cut short")
    tensors = load_tensors(weights)
    with torch.device("meta"), _at_most(4 * len(tensors) + 64):
        check_tensors(_build(head, folder), tensors, "encoder weights")
    encoder = _build(head, folder)
    load_module(encoder, tensors, "encoder weights")
    encoder.eval()
    return encoder, dict(head.get("card", {}))


def _read_head(folder: Path) -> dict[str, Any]:
    head = read_json(folder / CARD)
    if not isinstance(head, dict) or head.get("format") not in (1, FORMAT):
        raise CheckpointError(CARD, folder, f"this version reads formats 1 to {FORMAT}")
    signed = {key: head[key] for key in head if key not in ("head_sha256", "card")}
    if head["format"] > 1 and sha256_of_json(signed) != head.get("head_sha256"):
        raise CheckpointError(CARD, folder, "damaged or changed by hand")
    return head


@contextmanager
def _at_most(most: int) -> Iterator[None]:
    """Stop a constructor that makes more than ``most`` weights: its card asks for too much."""
    count = 0

    def stop(module: nn.Module, key: str, parameter: nn.Parameter) -> None:
        nonlocal count
        count += 1
        if count > most:
            raise CheckpointError("encoder weights", f"more than {most}", "the card is of another")

    hook = register_module_parameter_registration_hook(stop)
    try:
        yield
    finally:
        hook.remove()


def _build(head: Mapping[str, Any], folder: Path) -> Encoder:
    try:
        with torch.random.fork_rng(devices=[]):
            return ENCODERS.build(str(head["encoder"]), **dict(head["config"]))
    except CheckpointError:
        raise
    except Exception as error:  # constructors raise many types for values that cannot be
        raise CheckpointError(CARD, folder, f"cannot be rebuilt: {error}") from error
