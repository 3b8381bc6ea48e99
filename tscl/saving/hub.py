"""Saved encoders on the Hugging Face hub: push a model folder, pull one, nothing else.

Only the files of a model travel (:data:`tscl.saving.encoder.ALLOWED`). A repository that
holds others is refused, and what was pulled is loaded once before it appears in its place.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tscl.disk import check_replaceable, new_folder, write_text
from tscl.errors import CheckpointError, InputError, MissingExtraError
from tscl.saving.encoder import ALLOWED, CARD, WEIGHTS, check_name, load_encoder


def push_model(
    folder: Path, repo: str, *, private: bool = True, message: str | None = None, api: Any = None
) -> str:
    """Upload the model in ``folder`` to the repository ``repo``, which is created when needed.

    Args:
        folder: written by :func:`tscl.saving.encoder.save_encoder`; it must load.
        repo: ``user/name``.
        private: of a repository that is created.
        message: of the commit.
        api: a ``huggingface_hub.HfApi``; None makes one, with the account that is logged in.

    Returns:
        Address of the commit.

    Raises:
        CheckpointError: the folder is no model that loads.
        InputError: no such repository, no right to it, or no connection.
        MissingExtraError: huggingface_hub is not installed.
    """
    hub = _hub(api)
    encoder, card = load_encoder(folder)
    with _reached(repo), tempfile.TemporaryDirectory() as work:
        staged = Path(work)
        for name in ALLOWED:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, staged / name)
        if not (staged / "README.md").exists():
            write_text(staged / "README.md", _readme(repo, str(getattr(encoder, "name", "")), card))
        hub.create_repo(repo_id=repo, private=private, exist_ok=True, repo_type="model")
        done = hub.upload_folder(
            repo_id=repo,
            folder_path=str(staged),
            allow_patterns=list(ALLOWED),
            commit_message=message or "Encoder",
            repo_type="model",
        )
    return str(getattr(done, "commit_url", done))


def pull_model(repo: str, folder: Path, *, revision: str | None = None, api: Any = None) -> Path:
    """Download the model of ``repo`` into ``folder``, which appears when all of it is there.

    Args:
        repo: ``user/name``.
        folder: absent, empty, or an earlier model, which is replaced.
        revision: branch, tag or commit; None takes the main branch. All files are of one commit.
        api: see :func:`push_model`.

    Raises:
        CheckpointError: the repository holds files that are no part of a model, lacks some, or
            holds a model that does not load.
        InputError: no such repository or revision, no right to it, no connection, or ``folder``
            holds something else than a model.
        MissingExtraError: huggingface_hub is not installed.
    """
    check_replaceable(folder, CARD, ALLOWED)
    hub = _hub(api)
    with _reached(repo):
        commit = str(hub.model_info(repo, revision=revision).sha)
        names = list(hub.list_repo_files(repo, revision=commit, repo_type="model"))
    unexpected = sorted(name for name in names if name not in ALLOWED)
    if unexpected:
        raise CheckpointError(
            "repository files", ", ".join(unexpected[:5]), f"{repo} holds more than a model does"
        )
    for name in (CARD, WEIGHTS):
        if name not in names:
            raise CheckpointError("repository files", names, f"{repo} lacks {name}")
    with _reached(repo), tempfile.TemporaryDirectory() as cache, new_folder(folder) as work:
        for name in names:
            got = Path(
                hub.hf_hub_download(
                    repo, check_name(name), revision=commit, local_dir=cache, repo_type="model"
                )
            )
            if got.is_symlink() or not got.resolve().is_relative_to(Path(cache).resolve()):
                raise CheckpointError("link", name, "the download leads out of its folder")
            shutil.copyfile(got, work / name)
        load_encoder(work)
    return folder


def _readme(repo: str, encoder: str, card: dict[str, Any]) -> str:
    """The page of a repository: licence in the header, then the card as JSON."""
    licence = card.get("licence")
    head = ["---", "library_name: tscl", *([f"license: {licence.lower()}"] if licence else [])]
    facts = json.dumps(card, indent=2)
    return "\n".join(
        [
            *head,
            "---",
            f"# {repo.split('/')[-1]}",
            "",
            f"A time-series encoder (`{encoder}`) trained with tscl. Load it with",
            "`tscl pull` and `tscl.load_encoder`.",
            "",
            "```json",
            facts,
            "```",
            "",
        ]
    )


@contextmanager
def _reached(repo: str) -> Iterator[None]:
    """What the hub or the connection to it raises becomes one named error."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    connection: Any = HfHubHTTPError.__bases__[0]  # of the HTTP client, whose name has changed
    try:
        yield
    except (connection, HFValidationError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        remedy = f"{reason}; check the name, the connection and `hf auth login`"
        raise InputError("repo", repo, remedy) from error


def _hub(api: Any) -> Any:
    if api is not None:
        return api
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise MissingExtraError("huggingface_hub", "hub") from None
    return HfApi()
