"""An epoch of contrast between crops, and embedding of a set, against loops of one's own.

    pip install --no-deps --target peers lightly
    PYTHONPATH=.:peers python -m tests.benchmarks.bench_pretraining [--recordings 4800]

Single-lead recordings of 9 to 60 s at 100 Hz, as in the CinC 2017 challenge; the network is the one
of the shipped weights. The reference of the epoch is what one would write: a dataset that cuts two
random crops, a DataLoader, AdamW, and lightly's NT-Xent. That of the embeddings takes recording
after recording. Float32 on both sides, then bfloat16 here.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from data_loaders.container.recordings import Recordings
from tests.benchmarks.bench_losses import lightly_module
from tests.benchmarks.rows import Row, row, seconds, show
from tscl.encoders import ENCODERS
from tscl.evaluation.recordings import embed_recordings
from tscl.pooling import pool_time
from tscl.seeding import seeded, torch_generator
from tscl.training.recordings import RecordingSource
from tscl.training.recordings_pretraining import ENCODER, pretrain_recordings
from tscl.training.settings import TrainSettings

CROP, BATCH, POOLING, TEMPERATURE = 1000, 128, "mean+std+max", 0.5


class Crops(Dataset):
    """Two random crops of every recording."""

    def __init__(self, recordings: Recordings) -> None:
        self.recordings = recordings

    def __len__(self) -> int:
        return len(self.recordings)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        x = torch.from_numpy(np.asarray(self.recordings[row], np.float32))
        if len(x) < CROP:
            x = F.pad(x, (0, 0, 0, CROP - len(x)))
        starts = torch.randint(len(x) - CROP + 1, (2,)).tolist()
        return x[starts[0] : starts[0] + CROP], x[starts[1] : starts[1] + CROP]


class PlainSimCLR(nn.Module):
    """Network, pooling and projection."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        width = 3 * int(encoder.output_dims)
        self.head = nn.Sequential(
            nn.Linear(width, 256, bias=False), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 64)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(pool_time(self.encoder(x), POOLING))


def build() -> nn.Module:
    """The network, the same weights each time."""
    given = dict(ENCODER)
    with seeded(0):
        return ENCODERS.build(given.pop("name"), input_dims=1, **given)


def plain_epoch(recordings: Recordings) -> None:
    """One epoch of a loop of one's own."""
    model = PlainSimCLR(build()).train()
    criterion = lightly_module("ntx_ent_loss", "NTXentLoss", temperature=TEMPERATURE)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    for first, second in DataLoader(Crops(recordings), BATCH, shuffle=True, drop_last=True):
        z = model(torch.cat([first, second]))
        loss = criterion(*z.chunk(2))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def epoch(recordings: Recordings, precision: str) -> None:
    """The same epoch by this library."""
    pretrain_recordings(
        recordings,
        crop=CROP,
        views=2,
        batch_size=BATCH,
        encoder=build(),
        method="simclr",
        method_params={
            "loss": "ntxent",
            "loss_params": {"temperature": TEMPERATURE},
            "augmentation": None,
            "projection_dims": 64,
            "hidden_dims": 256,
            "batch_norm": True,
            "one_pass": True,
            "pooling": POOLING,
        },
        settings=TrainSettings(
            max_epochs=1,
            lr=2e-3,
            weight_decay=0.01,
            precision=precision,
            averaging="none",  # the loop has none either
        ),
    )


def one_by_one(encoder: nn.Module, recordings: Recordings) -> None:
    """Embeddings of a set, recording after recording."""
    with torch.no_grad():
        for k in range(len(recordings)):
            pool_time(encoder(torch.from_numpy(recordings[k])[None]), POOLING)


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Time all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--recordings", type=int, default=4800)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    lengths = rng.choice([900, 3000, 6000], size=args.recordings, p=[0.15, 0.75, 0.1])
    values = rng.normal(size=(int(lengths.sum()), 1)).astype(np.float32)
    recordings = Recordings(values, lengths, 100.0)
    few = recordings.subset(np.arange(2 * BATCH))
    plain_epoch(few)  # first calls choose kernels
    epoch(few, "32-true")
    reference = seconds(lambda: plain_epoch(recordings))
    what = (
        f"SimCLR, an epoch of {args.recordings:,} recordings, two crops of 10 s, batches of {BATCH}"
    )
    rows = []
    for name, precision in (("", "32-true"), (", bfloat16", "bf16-mixed")):
        here = seconds(lambda p=precision: epoch(recordings, p))
        rows.append(
            row(
                f"{what}{name}",
                against="a loop in plain torch with lightly's NT-Xent",
                reference=reference,
                here=here,
            )
        )
    source = RecordingSource(recordings, CROP, views=2, least=0.5)
    drawn = np.arange(BATCH)
    drawing = min(seconds(lambda: source.batch(drawn, torch_generator(0))) for _ in range(10))
    step = rows[0]["here"] / (args.recordings // BATCH)
    rows.append(
        row("drawing the crops of a step", against="the step", reference=step, here=drawing)
    )
    encoder = build().eval()
    one_by_one(encoder, few)
    reference = seconds(lambda: one_by_one(encoder, recordings))
    what = f"embeddings of {args.recordings:,} recordings of 9 to 60 s"
    for name, bf16 in (("", False), (", bfloat16", True)):
        here = seconds(
            lambda b=bf16: embed_recordings(encoder, recordings, pooling=POOLING, bf16=b)
        )
        rows.append(
            row(f"{what}{name}", against="one after the other", reference=reference, here=here)
        )
    return show(rows)


if __name__ == "__main__":
    main()
