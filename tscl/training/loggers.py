"""Loss terms, learning rates and validation scores in TensorBoard or MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tscl.errors import InputError, MissingExtraError, check_choice
from tscl.training.callbacks import Callback, EpochReport, Start, StepReport


class _Scalars(Callback):
    def on_step(self, report: StepReport) -> None:
        """Terms under ``train/``, rates under ``lr/``."""
        terms = {f"train/{name}": value for name, value in report.terms.items()}
        rates = {f"lr/{name}": value for name, value in report.rates.items()}
        self._scalars(terms | rates, report.step)

    def on_epoch(self, report: EpochReport) -> None:
        """The monitor's score under ``valid/score``."""
        if report.score is not None:
            self._scalars({"valid/score": report.score}, report.step - 1)

    def _scalars(self, values: Mapping[str, float], step: int) -> None:
        raise NotImplementedError


class TensorBoardLogger(_Scalars):
    """Event files below ``folder``. After a resume, what lay beyond the checkpoint is hidden.

    Args:
        folder: for ``tensorboard --logdir``.

    Raises:
        MissingExtraError: (at the start of training) tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: Any = None

    def on_start(self, start: Start) -> None:
        """Open the event file."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise MissingExtraError("tensorboard", "tensorboard") from None
        self._writer = SummaryWriter(log_dir=str(self.folder), purge_step=start.step or None)

    def _scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class MLflowLogger(_Scalars):
    """One MLflow run a training; a resumed training goes on in the same run.

    Steps between the last checkpoint and an interrupt are logged twice, with equal values.

    Args:
        folder: holds the store ``mlruns.db`` when MLFLOW_TRACKING_URI is not set.
        experiment: name of the experiment.

    Raises:
        MissingExtraError: (at the start of training) mlflow is not installed.
    """

    def __init__(self, folder: Path, experiment: str = "tscl") -> None:
        self.folder, self.experiment = folder, experiment
        self.run_id: str | None = None
        self._client: Any = None

    def on_start(self, start: Start) -> None:
        """Open the run, or create it with the settings as parameters."""
        import os

        try:
            from mlflow import MlflowClient
        except ImportError:
            raise MissingExtraError("mlflow", "mlflow") from None
        self.folder.mkdir(parents=True, exist_ok=True)
        default = f"sqlite:///{self.folder.resolve() / 'mlruns.db'}"
        self._client = MlflowClient(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or default)
        if self.run_id is None:
            experiment = self._client.get_experiment_by_name(self.experiment)
            home = (
                experiment.experiment_id
                if experiment
                else self._client.create_experiment(self.experiment)
            )
            self.run_id = self._client.create_run(home, run_name=start.title).info.run_id
            for name, value in start.settings.model_dump().items():
                self._client.log_param(self.run_id, name, value)

    def _scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._client.log_metric(self.run_id, name, value, step=step)

    def on_end(self, result: Any) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self.run_id)

    def state(self) -> dict[str, Any]:
        """The run's id."""
        return {"run_id": self.run_id}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on in the same run."""
        self.run_id = state["run_id"]


LOGGERS: dict[str, type[TensorBoardLogger] | type[MLflowLogger]] = {
    "tensorboard": TensorBoardLogger,
    "mlflow": MLflowLogger,
}


def build_loggers(names: Sequence[str], folder: Path | None) -> list[Callback]:
    """The loggers ``names``, each below a folder of its name.

    Raises:
        InputError: unknown name, or no folder to write to.
    """
    for name in names:
        check_choice("loggers", name, LOGGERS)
    if names and folder is None:
        raise InputError("logs", None, "give the trainer a folder for its loggers")
    assert folder is not None or not names
    return [LOGGERS[name](folder / name) for name in names if folder is not None]
