"""Push and pull of models, with a hub in a local folder that has the real client's signatures."""

from __future__ import annotations

import builtins
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
import torch
from typer.testing import CliRunner

from tests.training import cases
from tscl.cli.app import app
from tscl.errors import CheckpointError, InputError, MissingExtraError
from tscl.saving import hub
from tscl.saving.card import ModelCard
from tscl.saving.encoder import load_encoder, save_encoder

huggingface_hub = pytest.importorskip("huggingface_hub")


@pytest.fixture
def server(tmp_path):
    """Repositories below a folder; every commit is a numbered copy."""
    home = tmp_path / "server"

    def commits(repo: str) -> list[Path]:
        return sorted((home / repo).iterdir()) if (home / repo).is_dir() else []

    def create_repo(*, repo_id, private, exist_ok, repo_type):
        (home / repo_id).mkdir(parents=True, exist_ok=exist_ok)

    def upload_folder(*, repo_id, folder_path, allow_patterns, commit_message, repo_type):
        target = home / repo_id / f"{len(commits(repo_id)):04d}"
        target.mkdir()
        for path in Path(folder_path).iterdir():
            assert path.name in allow_patterns
            shutil.copyfile(path, target / path.name)
        return SimpleNamespace(commit_url=f"https://hub/{repo_id}/{target.name}")

    def model_info(repo, *, revision=None):
        return SimpleNamespace(sha=revision or commits(repo)[-1].name)

    def list_repo_files(repo, *, revision, repo_type):
        root = home / repo / revision
        return [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()]

    def hf_hub_download(repo, filename, *, revision, local_dir, repo_type):
        target = Path(local_dir) / filename
        shutil.copyfile(home / repo / revision / filename, target)
        return str(target)

    api = create_autospec(huggingface_hub.HfApi, instance=True)
    for one in (create_repo, upload_folder, model_info, list_repo_files, hf_hub_download):
        getattr(api, one.__name__).side_effect = one
    return SimpleNamespace(api=api, home=home)


@pytest.fixture
def saved(tmp_path):
    save_encoder(tmp_path / "model", cases.encoder(), ModelCard("simclr", licence="MIT"))
    (tmp_path / "model" / "notes.txt").write_text("stays here")
    return tmp_path / "model"


def test_a_model_goes_there_and_comes_back(server, saved, tmp_path):
    address = hub.push_model(saved, "me/enc", api=server.api)
    assert address == "https://hub/me/enc/0000"
    sent = {p.name for p in (server.home / "me/enc/0000").iterdir()}
    assert sent == {"encoder.json", "encoder.safetensors", "README.md"}
    page = (server.home / "me/enc/0000/README.md").read_text()
    assert page.startswith("---\nlibrary_name: tscl\nlicense: mit\n---\n# enc\n")
    back = hub.pull_model("me/enc", tmp_path / "back", api=server.api)
    encoder, card = load_encoder(back)
    wanted, _ = load_encoder(saved)
    x = torch.from_numpy(cases.series(2))
    assert torch.equal(encoder(x), wanted(x))
    assert card["licence"] == "MIT"


def test_a_pull_replaces_nothing_but_an_earlier_model(server, saved, tmp_path):
    hub.push_model(saved, "me/enc", api=server.api)
    place = tmp_path / "place"
    place.mkdir()
    (place / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="thesis"):
        hub.pull_model("me/enc", place, api=server.api)
    assert (place / "thesis.tex").exists()
    (place / "thesis.tex").unlink()
    for _ in range(2):
        assert hub.pull_model("me/enc", place, api=server.api) == place


def test_a_revision_is_pulled_whole(server, saved, tmp_path):
    hub.push_model(saved, "me/enc", api=server.api)
    save_encoder(saved, cases.encoder(), {"method": "second"})
    hub.push_model(saved, "me/enc", api=server.api)
    hub.pull_model("me/enc", tmp_path / "old", revision="0000", api=server.api)
    hub.pull_model("me/enc", tmp_path / "new", api=server.api)
    assert load_encoder(tmp_path / "old")[1]["method"] == "simclr"
    assert load_encoder(tmp_path / "new")[1]["method"] == "second"
    assert {c.kwargs["revision"] for c in server.api.hf_hub_download.call_args_list} == {
        "0000",
        "0001",
    }


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "run.py", "sub/encoder.safetensors", ".ssh/authorized_keys"]
)
def test_a_repository_with_other_files_is_refused_before_download(server, saved, tmp_path, name):
    hub.push_model(saved, "me/enc", api=server.api)
    extra = server.home / "me/enc/0000" / name
    extra.parent.mkdir(exist_ok=True)
    extra.write_bytes(b"x")
    with pytest.raises(CheckpointError) as caught:
        hub.pull_model("me/enc", tmp_path / "back", api=server.api)
    assert name in str(caught.value)
    assert not server.api.hf_hub_download.called
    assert not (tmp_path / "back").exists()


def test_names_that_climb_are_refused(server, saved, tmp_path):
    hub.push_model(saved, "me/enc", api=server.api)
    server.api.list_repo_files.side_effect = lambda *a, **k: ["encoder.json", "../evil"]
    with pytest.raises(CheckpointError, match=r"\.\./evil"):
        hub.pull_model("me/enc", tmp_path / "back", api=server.api)


def test_a_download_that_is_a_link_is_refused(server, saved, tmp_path):
    hub.push_model(saved, "me/enc", api=server.api)

    def linked(repo, filename, *, revision, local_dir, repo_type):
        (Path(local_dir) / filename).symlink_to(saved / filename)
        return str(Path(local_dir) / filename)

    server.api.hf_hub_download.side_effect = linked
    with pytest.raises(CheckpointError, match="leads out"):
        hub.pull_model("me/enc", tmp_path / "back", api=server.api)
    assert not (tmp_path / "back").exists()


def test_a_damaged_or_incomplete_model_leaves_the_old_one(server, saved, tmp_path):
    hub.push_model(saved, "me/enc", api=server.api)
    hub.pull_model("me/enc", tmp_path / "back", api=server.api)
    weights = server.home / "me/enc/0000/encoder.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match="damaged"):
        hub.pull_model("me/enc", tmp_path / "back", api=server.api)
    load_encoder(tmp_path / "back")
    weights.unlink()
    with pytest.raises(CheckpointError, match="lacks encoder"):
        hub.pull_model("me/enc", tmp_path / "back", api=server.api)


def test_a_folder_that_does_not_load_is_not_pushed(server, saved):
    (saved / "encoder.json").write_text(json.dumps({"format": 9}))
    with pytest.raises(CheckpointError):
        hub.push_model(saved, "me/enc", api=server.api)
    assert not server.api.create_repo.called


def test_command_line_pushes_and_pulls(server, saved, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "_hub", lambda api: server.api)
    run = CliRunner().invoke
    pushed = run(app, ["push", "--run", str(saved), "--repo", "me/enc"])
    assert pushed.exit_code == 0, pushed.output
    assert "https://hub/me/enc/0000" in pushed.output
    assert server.api.create_repo.call_args.kwargs["private"] is True
    pulled = run(app, ["pull", "--repo", "me/enc", "--out", str(tmp_path / "back")])
    assert pulled.exit_code == 0, pulled.output
    load_encoder(tmp_path / "back")


def test_the_missing_package_names_the_extra(saved, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "huggingface_hub":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"tscl\[hub\]"):
        hub.push_model(saved, "me/enc")


@pytest.mark.parametrize("kind", ["no connection", "no name"])
def test_what_the_hub_refuses_is_one_named_error(server, saved, tmp_path, kind):
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    error = HFValidationError("Repo id must be in the form name")
    if kind == "no connection":
        error = HfHubHTTPError.__bases__[0]("Name or service not known")
    server.api.model_info.side_effect = error
    server.api.create_repo.side_effect = error
    with pytest.raises(InputError, match=r"repo: got me/model; .*check the name") as caught:
        hub.pull_model("me/model", tmp_path / "pulled", api=server.api)
    assert str(error) in str(caught.value)
    assert not (tmp_path / "pulled").exists()
    with pytest.raises(InputError, match="hf auth login"):
        hub.push_model(saved, "me/model", api=server.api)
