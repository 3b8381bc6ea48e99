"""An encoder as a file for other runtimes: ONNX, or torch's exported program.

The file maps ``x`` (batch, time, channels) float32, NaN where values are missing, to ``embeddings``
(batch, time, D), or (batch, steps, D) of an encoder coarser than its input. It scales its input
when told how, else it takes values as the encoder does. The number of samples may vary, and the
number of steps too where the encoder's form does not depend on it. Every file is run on series of
other sizes before it is handed over, and an ONNX file declares as free what those runs have shown
to be free.
"""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from tscl import __version__
from tscl.disk import atomic_file
from tscl.encoders.base import Encoder, output_length, stride_of
from tscl.errors import InputError, MissingExtraError, check_choice
from tscl.seeding import numpy_generator

ExportFormat = Literal["onnx", "torch-export"]
SUFFIXES: dict[str, str] = {"onnx": ".onnx", "torch-export": ".pt2"}
TOLERANCE = 1e-4
"""Largest difference of an embedding from the encoder's own, relative to the largest."""


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        path: the file. format: its format.
        dynamic: which of ``batch`` and ``time`` may differ from the example.
        length: steps of the example, the only ones allowed when ``time`` is not dynamic.
        difference: largest difference from the encoder's embeddings, over all series that were
            tried.
    """

    path: Path
    format: ExportFormat
    dynamic: tuple[str, ...]
    length: int
    difference: float


class _Embeddings(nn.Module):
    """The encoder without its optional mask, on inputs in their own units."""

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        mean: NDArray[Any],
        scale: NDArray[Any],
        classify: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.classify = encoder, classify
        self.scaled = bool(np.any(mean != 0) or np.any(scale != 1))
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.encoder((x - self.mean) / self.scale if self.scaled else x)
        return out if self.classify is None else self.classify(out)


def export_encoder(
    encoder: Encoder,
    path: Path,
    format: ExportFormat = "onnx",
    *,
    length: int = 64,
    mean: ArrayLike | None = None,
    scale: ArrayLike | None = None,
    notes: Mapping[str, Any] | None = None,
    classify: nn.Module | None = None,
) -> Exported:
    """Write ``encoder`` to ``path`` and run the file against it.

    Encoders see scaled values. With ``mean`` and ``scale`` the file scales its input itself.

    Args:
        encoder: any encoder that torch can trace; it is not changed.
        path: ``.onnx`` or ``.pt2`` file.
        format: ``onnx`` (needs the extra ``onnx``) or ``torch-export``.
        length: steps of the example the encoder is traced with.
        mean: (C,) of the values the encoder was trained on; the file computes ``(x - mean) /
            scale`` first. None leaves the values as they come.
        scale: (C,) deviation of the same values.
        notes: JSON values written into the file beside its own, such as a card's
            ``preprocessing``: ONNX metadata, or ``tscl.json`` among the extra files.
        classify: what follows the encoder, (B, T, D) to (B, K) probabilities, which are then the
            file's output ``probabilities`` in place of ``embeddings``.

    Raises:
        InputError: a mean or scale of another number of channels, the encoder cannot be exported,
            or the file gives other embeddings.
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
    """
    check_choice("format", format, get_args(ExportFormat))
    if length < 2:
        raise InputError("length", length, "use at least two steps")
    if Path(path).suffix != SUFFIXES[format]:
        raise InputError("path", path, f"a file of format {format} ends in {SUFFIXES[format]}")
    name = getattr(encoder, "name", type(encoder).__name__)
    figures = _per_channel("mean", mean, 0.0, encoder), _per_channel("scale", scale, 1.0, encoder)
    follows = None if classify is None else copy.deepcopy(classify).cpu().float()
    model = _Embeddings(copy.deepcopy(encoder).cpu().float(), *figures, follows)
    model.eval().requires_grad_(False)
    facts = {
        "tscl": __version__,
        "encoder": name,
        "causal": str(encoder.causal),
        "receptive_field": str(encoder.receptive_field),
        "input": "in its own units" if model.scaled else "as the encoder was trained",
        **{key: json.dumps(value) for key, value in (notes or {}).items()},
    }
    program = _trace(model, name, length)
    with atomic_file(path) as work:
        if format == "onnx":
            _write_onnx(program, work, name, facts, "probabilities" if follows else "embeddings")
            _declare(work, model, length, ("batch", "time"))
            dynamic, _ = _compare(_onnx_runner(work), model, length, name)
            _declare(work, model, length, dynamic)
            run = _onnx_runner(work)
        else:
            torch.export.save(program, str(work), extra_files={"tscl.json": json.dumps(facts)})
            run = _torch_runner(work)
        dynamic, difference = _compare(run, model, length, name)
    return Exported(path, format, dynamic, length, difference)


def _per_channel(
    field: str, given: ArrayLike | None, default: float, encoder: Encoder
) -> NDArray[np.float64]:
    if given is None:
        return np.full(encoder.input_dims, default)
    value = np.asarray(given, dtype=np.float64)
    if value.shape != (encoder.input_dims,):
        raise InputError(field, value.shape, f"the encoder has {encoder.input_dims} channels")
    if not np.isfinite(value).all() or (field == "scale" and (value <= 0).any()):
        raise InputError(field, value.tolist(), "give finite values, scales above zero")
    return value


def _trace(model: _Embeddings, name: str, length: int) -> Any:
    example = torch.from_numpy(_series(2, length, model))
    free = torch.export.Dim.AUTO
    try:
        with _quiet():
            return torch.export.export(
                model, (example,), dynamic_shapes=({0: free, 1: free},), strict=False
            )
    except Exception as error:  # torch raises many kinds here, all of the encoder's code
        raise InputError(
            "encoder", name, f"torch.export cannot trace it ({_first_line(error)})"
        ) from error


def _write_onnx(program: Any, path: Path, name: str, facts: Mapping[str, str], output: str) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            __import__(package)
        except ImportError:
            raise MissingExtraError(package, "onnx") from None
    try:
        with _quiet():
            exported = torch.onnx.export(
                program, dynamo=True, verbose=False, input_names=["x"], output_names=[output]
            )
    except Exception as error:  # the exporter raises many kinds, all of operators it lacks
        raise InputError(
            "encoder",
            name,
            f"it has operators that ONNX lacks ({_first_line(error)}); use the format torch-export",
        ) from error
    assert exported is not None
    exported.model.metadata_props.update(facts)
    exported.save(str(path), external_data=False)


def _declare(path: Path, model: _Embeddings, length: int, dynamic: tuple[str, ...]) -> None:
    """Write the free and the fixed sizes of its input and output into an ONNX file.

    The tracer takes some sizes for fixed that are free, such as the steps of an LSTM; runtimes
    warn at, and plan memory by, what a file declares. Sizes inside the graph are left to them.
    """
    import onnx

    file = onnx.load(str(path))
    batch, steps = 2, output_length(model.encoder, length)
    time = "steps" if stride_of(model.encoder) > 1 else "time"
    given = {"batch": ("batch", batch), "time": ("time", length)}
    result = {"batch": ("batch", batch)}
    if model.classify is None:
        result["time"] = (time, steps)
    for value, sizes in ((file.graph.input[0], given), (file.graph.output[0], result)):
        for place, (word, (name, size)) in enumerate(sizes.items()):
            declared = value.type.tensor_type.shape.dim[place]
            if word in dynamic:
                declared.dim_param = name
            else:
                declared.dim_value = size
    del file.graph.value_info[:]
    onnx.checker.check_model(file)
    onnx.save(file, str(path))


def _onnx_runner(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {"x": x})[0], dtype=np.float32)

    return run


def _torch_runner(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    module = torch.export.load(str(path)).module()

    def run(x: NDArray[np.float32]) -> NDArray[np.float32]:
        out: Tensor = module(torch.from_numpy(x))
        return out.numpy()

    return run


def _compare(
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    model: _Embeddings,
    length: int,
    name: str,
) -> tuple[tuple[str, ...], float]:
    """Which sizes may differ from the example's, and the largest difference from the encoder."""
    worst, dynamic = 0.0, []
    sizes = {"": (2, length), "batch": (5, length), "time": (2, 2 * length + 3)}
    for word, (batch, steps) in sizes.items():
        x = _series(batch, steps, model)
        try:
            with torch.no_grad():
                wanted = model(torch.from_numpy(x)).numpy()
            result = run(x)
        except Exception as error:  # encoders and runtimes raise many kinds for sizes not theirs
            if not word:
                raise InputError(
                    "encoder", name, f"the exported file does not run ({_first_line(error)})"
                ) from error
            continue
        difference = (
            float(np.abs(result - wanted).max()) if result.shape == wanted.shape else np.inf
        )
        if not difference <= TOLERANCE * max(1.0, float(np.abs(wanted).max())):
            raise InputError(
                "encoder",
                name,
                f"the exported file gives other embeddings (by {difference:.3g}); what an encoder "
                "draws at random, or decides by values, no file can hold",
            )
        worst = max(worst, difference)
        dynamic += [word] if word else []
    return tuple(dynamic), worst


def _series(batch: int, steps: int, model: _Embeddings) -> NDArray[np.float32]:
    """Noise in the input's units with a missing value, the same each time."""
    size = (batch, steps, len(model.mean))
    x = numpy_generator(0, "export", batch, steps).normal(size=size)
    x[0, 1] = np.nan
    exported: NDArray[np.float32] = (x * model.scale.numpy() + model.mean.numpy()).astype(
        np.float32
    )
    return exported


def _first_line(error: BaseException) -> str:
    text = str(error.__cause__ or error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:160]}" if text else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the tracers' advice to their own developers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
