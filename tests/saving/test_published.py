"""Files of the authors' public code, whose networks are written here as theirs are named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typer.testing import CliRunner

from tscl.cli.app import app
from tscl.errors import CheckpointError
from tscl.saving.encoder import load_encoder
from tscl.saving.published import load_published


class Conv(nn.Module):
    def __init__(self, inner: int, outer: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inner, outer, 3, padding=dilation, dilation=dilation)


class Block(nn.Module):
    def __init__(self, inner: int, outer: int, dilation: int, final: bool) -> None:
        super().__init__()
        self.conv1, self.conv2 = Conv(inner, outer, dilation), Conv(outer, outer, dilation)
        self.projector = nn.Conv1d(inner, outer, 1) if final else None

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2.conv(F.gelu(self.conv1.conv(F.gelu(x))))
        return h + (x if self.projector is None else self.projector(x))


class Trunk(nn.Module):
    def __init__(self, width: int, depth: int, outer: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            *(
                Block(width, outer if i == depth else width, 2**i, i == depth)
                for i in range(depth + 1)
            )
        )


class Published(nn.Module):
    def __init__(self, kernels: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.input_fc = nn.Linear(3, 4)
        self.feature_extractor = Trunk(4, 3, 6)
        self.repr_dropout = nn.Dropout(0.1)
        self.tfd = nn.ModuleList(nn.Conv1d(6, 6, k, padding=k - 1) for k in kernels)

    def forward(self, x: Tensor) -> Tensor:
        h = self.feature_extractor.net(self.input_fc(x).transpose(1, 2))
        if len(self.tfd):
            h = torch.stack([conv(h)[..., : x.shape[1]] for conv in self.tfd]).mean(0)
        return h.transpose(1, 2)


@pytest.mark.parametrize(("name", "kernels"), [("dilated", ()), ("cost", (1, 2, 4, 8))])
@pytest.mark.parametrize("parallel", [False, True])
def test_an_averaged_network_as_the_authors_save_it(
    tmp_path: Path, name: str, kernels: tuple[int, ...], parallel: bool
) -> None:
    torch.manual_seed(0)
    network = Published(kernels).eval()
    wrapped = nn.DataParallel(network) if parallel else network
    state = torch.optim.swa_utils.AveragedModel(wrapped).state_dict()
    assert any(key.startswith("module.module." if parallel else "module.") for key in state)
    file = tmp_path / "model.pkl"
    torch.save(state, file)
    done = CliRunner().invoke(app, ["convert", str(file), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    encoder, card = load_encoder(tmp_path / "out")
    assert (encoder.name, encoder.causal, card["source"]["file"]) == (name, False, "model.pkl")
    x = torch.randn(2, 40, 3)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x), network(x), atol=1e-5, rtol=1e-5)


def test_other_files_are_refused(tmp_path: Path) -> None:
    state = Published().state_dict()
    broken = {
        "a missing tensor": {k: v for k, v in state.items() if k != "input_fc.bias"},
        "one too many": {**state, "head.weight": torch.zeros(2)},
        "no network": {"weight": torch.zeros(2)},
        "another shape": {**state, "input_fc.weight": torch.zeros(5, 3)},
        "no tensors": {"state": [1, 2]},
    }
    for what, tensors in broken.items():
        file = tmp_path / f"{what}.pt"
        torch.save(tensors, file)
        with pytest.raises(CheckpointError):
            load_published(file)
    (tmp_path / "text.pt").write_text("not a checkpoint")
    torch.save(nn.Linear(2, 2), tmp_path / "module.pt")
    for name in ("text.pt", "module.pt", "absent.pt"):
        with pytest.raises(CheckpointError, match="file"):
            load_published(tmp_path / name)
