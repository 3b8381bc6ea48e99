"""Tensors and JSON on disk, written atomically, never pickle."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tscl.disk import atomic_file, write_text
from tscl.errors import CheckpointError, WriteError


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=False, allow_nan=True) + "\n")


def sha256_of_json(value: Any) -> str:
    """SHA-256 of JSON values, the same before they are written and after they are read."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def read_json(path: Path) -> Any:
    """Read JSON; CheckpointError when the file is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            "file", path.name, f"not found in {path.parent}; check the path"
        ) from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError("file", path.name, f"not valid JSON ({error})") from None


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors (contiguous CPU copies), atomically."""
    own = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    with atomic_file(path) as work:
        try:
            save_file(own, str(work))
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))
            cause = OSError(int(number[1]), os.strerror(int(number[1]))) if number else error
            raise WriteError(path, cause) from error


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read safetensors; CheckpointError when the file is missing or damaged."""
    if not path.is_file():
        raise CheckpointError("file", path.name, f"not found in {path.parent}; check the path")
    try:
        loaded: dict[str, Tensor] = load_file(str(path))
    except (SafetensorError, ValueError, OSError) as error:
        raise CheckpointError("file", path.name, f"not a readable safetensors ({error})") from None
    return loaded


def flatten_state(prefix: str, state: Mapping[Any, Any]) -> tuple[dict[str, Tensor], Any]:
    """Split a nested state dictionary into tensors by name and a JSON skeleton."""
    tensors: dict[str, Tensor] = {}

    def walk(value: Any, path: str) -> Any:
        if isinstance(value, Tensor):
            tensors[path] = value
            return {"__tensor__": path}
        if isinstance(value, Mapping):
            return {"__dict__": [[k, walk(v, f"{path}.{k}")] for k, v in value.items()]}
        if isinstance(value, (list, tuple)):
            return [walk(v, f"{path}.{i}") for i, v in enumerate(value)]
        return value

    return tensors, walk(state, prefix)


def restore_state(skeleton: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Inverse of :func:`flatten_state`."""
    if isinstance(skeleton, dict):
        if "__tensor__" in skeleton:
            return tensors[skeleton["__tensor__"]]
        return {k: restore_state(v, tensors) for k, v in skeleton["__dict__"]}
    if isinstance(skeleton, list):
        return [restore_state(v, tensors) for v in skeleton]
    return skeleton


def check_tensors(module: torch.nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """CheckpointError that names missing, extra and misshapen tensors, if there are any.

    Args:
        module: that the tensors are for.
        tensors: by name of the module's state.
        what: the file, for the error.
    """
    own = module.state_dict()
    missing = sorted(set(own) - set(tensors))
    extra = sorted(set(tensors) - set(own))
    shapes = [k for k in own if k in tensors and own[k].shape != tensors[k].shape]
    if missing or extra or shapes:
        value = f"missing {missing[:3]}, unexpected {extra[:3]}, other shape {shapes[:3]}"
        raise CheckpointError(what, value, "the file belongs to a model with other settings")


def load_module(module: torch.nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Load a state dictionary strictly.

    Arguments as :func:`check_tensors`.
    """
    check_tensors(module, tensors, what)
    module.load_state_dict(dict(tensors))
