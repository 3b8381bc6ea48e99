"""Commands for saved models: ``tscl export``, ``tscl convert``, ``tscl push``, ``tscl pull``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tscl.cli.console import command, console
from tscl.errors import ConfigError, check_choice

RunOption = Annotated[
    Path, typer.Option("--run", help="Run folder, or folder of a saved encoder or estimator.")
]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="Which of the run's models, such as comet/fold0.")
]


def find_model(run: Path, model: str | None) -> Path:
    """Folder of the saved encoder ``model`` of a run, or of the only one there is.

    Raises:
        ConfigError: no such model, or several and none chosen.
    """
    for home in (run, run / "transformer") if model is None else ():
        if (home / "encoder.json").is_file():
            return home
    home = run / "models"
    models = {p.parent.relative_to(home).as_posix(): p.parent for p in home.rglob("encoder.json")}
    if not models:
        raise ConfigError("--run", run, "holds no saved encoder; run `tscl pretrain` first")
    if model is None:
        if len(models) > 1:
            raise ConfigError("--model", None, f"choose one of {', '.join(sorted(models))}")
        return next(iter(models.values()))
    check_choice("--model", model, models, error=ConfigError)
    return models[model]


def _scaling(home: Path, how: dict[str, Any]) -> tuple[Any, Any, str]:
    """Mean and scale for an exported file, and what the file then takes.

    Args:
        home: folder of an encoder, or of an estimator or its part.
        how: ``preprocessing`` of the card.
    """
    if (home / "estimator.json").is_file():
        from tscl.estimators.transformer import load_transformer

        model = load_transformer(home)
        if model.scale == "train":
            return model.mean_, model.scale_, "series in their own units; the file scales them"
        if model.scale == "sample":
            return None, None, "each series standardised by channel (scale='sample')"
        return None, None, "series in their own units (scale='none')"
    if how.get("standardize") == "train":
        note = "values as they were loaded in the run; the file scales them"
        return how.get("mean"), how.get("std"), note
    known = json.dumps(how)
    return None, None, f"values prepared as in the run, which the file does not do: {known}"


def _classifier(run: Path, name: str | None) -> tuple[Path, Any, Any] | None:
    """Folder, encoder and :class:`Classify` of a classifier; None where an encoder is meant."""
    from tscl.estimators.saved import CARD
    from tscl.evaluation.clinical.fitted import CARD as FITTED
    from tscl.evaluation.clinical.fitted import FittedClassifier
    from tscl.runs.new_data import find_classifier
    from tscl.saving.tensors import read_json

    if name is not None or (run / FITTED).is_file():
        fitted = FittedClassifier.load(folder := find_classifier(run, name))
        if not fitted.is_network:
            remedy = "only a network can be exported, not neighbours and plain features"
            raise ConfigError("--classifier", name or folder.name, remedy)
        return folder, fitted.encoder, fitted.classify
    path = run / CARD
    if not path.is_file() or read_json(path).get("kind") != "ContrastiveClassifier":
        return None
    from tscl.estimators.classifier import ContrastiveClassifier

    model = ContrastiveClassifier.load(run)
    return run, model.transformer_.encoder_, model.classify()


@command()
def export(
    run: RunOption,
    format: Annotated[str, typer.Option("--format", help="onnx or torch-export.")] = "onnx",
    model: ModelOption = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File (.onnx, .pt2).")] = None,
    length: Annotated[int, typer.Option(help="Steps of the example to trace with.")] = 64,
    classifier: Annotated[
        str | None, typer.Option(help="A classifier of the run: the file gives probabilities.")
    ] = None,
) -> None:
    """Write an encoder or a classifier for other runtimes and compare the file with it.

    A classifier's file holds pooling and head and gives probabilities; a run's model and a
    transformer's file gives embeddings, and is called encoder.
    """
    from tscl.saving.encoder import load_encoder
    from tscl.saving.export import SUFFIXES, export_encoder

    check_choice("--format", format, SUFFIXES, error=ConfigError)
    whole = _classifier(run, classifier) if model is None else None
    if whole is None:
        home = find_model(run, model)
        encoder, card = load_encoder(home)
        classify, part, how = None, "encoder", dict(card.get("preprocessing") or {})
    else:
        home, encoder, classify = whole
        part, how = "classifier", _preprocessing(home)
    target = out or home / f"{part}{SUFFIXES[format]}"
    inner = home / "transformer" if (home / "transformer").is_dir() else home
    mean, scale, note = _scaling(inner, how)
    exported = export_encoder(
        encoder,
        target,
        format,  # type: ignore[arg-type]
        length=length,
        mean=mean,
        scale=scale,
        notes={"preprocessing": how},
        classify=classify,
    )
    console.print(
        f"{exported.path}: free to vary: {', '.join(exported.dynamic)}; "
        f"largest difference of {'an embedding' if classify is None else 'a probability'} "
        f"{exported.difference:.2g}",
        markup=False,
    )
    console.print(f"input: {note}", markup=False)
    if "time" not in exported.dynamic:
        console.print(f"series must have {exported.length} steps, as --length says")


def _preprocessing(home: Path) -> dict[str, Any]:
    """What a run's classifier expects of its input; nothing of an estimator's."""
    from tscl.evaluation.clinical.fitted import CARD
    from tscl.saving.tensors import read_json

    path = home / CARD
    return dict(read_json(path)["card"].get("preprocessing", {})) if path.is_file() else {}


@command()
def convert(
    file: Annotated[Path, typer.Argument(help="State of a network, as torch.save wrote it.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the encoder to write.")],
) -> None:
    """Read an encoder of the public code of TS2Vec, CoST, AutoTCL or COMET and save it as one."""
    from tscl.disk import new_folder, sha256_of
    from tscl.saving.encoder import save_encoder
    from tscl.saving.published import load_published

    encoder = load_published(file)
    card = {"source": {"file": file.name, "sha256": sha256_of(file)}}
    with new_folder(out) as work:
        save_encoder(work, encoder, card)
    count = sum(p.numel() for p in encoder.parameters())
    console.print(f"{encoder.name} encoder, {count:,} parameters: {out}", markup=False)


@command()
def push(
    run: RunOption,
    repo: Annotated[str, typer.Option("--repo", help="user/name on the Hugging Face hub.")],
    model: ModelOption = None,
    public: Annotated[bool, typer.Option("--public", help="Of a new repository.")] = False,
) -> None:
    """Upload an encoder with its card to the Hugging Face hub."""
    from tscl.saving.hub import push_model

    address = push_model(find_model(run, model), repo, private=not public)
    console.print(address, markup=False)


@command()
def pull(
    repo: Annotated[str, typer.Option("--repo", help="user/name on the Hugging Face hub.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
) -> None:
    """Download an encoder from the Hugging Face hub; other files than a model's are refused."""
    from tscl.saving.hub import pull_model

    console.print(f"encoder: {pull_model(repo, out, revision=revision)}", markup=False)
