"""Settings of a generated cohort."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from data_loaders.cohort.ecg_model import LEADS
from data_loaders.cohort.eeg_model import ELECTRODES
from tscl.errors import ConfigError, check_choice, nearest

KINDS = ("ecg", "eeg")
LABEL_NAMES = ("healthy", "disease")

_RATE = {"ecg": 100, "eeg": 128}
_CHANNELS = {"ecg": 12, "eeg": 16}
_NAMES = {"ecg": LEADS, "eeg": ELECTRODES}


@dataclass(frozen=True)
class CohortConfig:
    """What a generated cohort holds; every strength may be 0.

    Attributes:
        kind: ``"ecg"`` (WFDB records in mV) or ``"eeg"`` (EDF recordings in uV).
        n_patients: patients, half of them (rounded down) with the disease.
        trials_per_patient: consecutive trials of each patient's recording.
        seconds: length of a trial.
        disease_effect: size of the disease's mark; 0 leaves the labels without any meaning.
            ECG: the ST segment rises by 0.12 mV towards the chest (leads V2 to V4) and the T wave
            shrinks by 0.7 of its height, per unit. EEG: the alpha rhythm slows by 2 Hz and
            the beta rhythm's amplitude falls by a factor exp(-0.9), per unit.
        patient_effect: how much patients differ (heart axis, wave shapes and heart rate; rhythms,
            their places and electrode gains), whatever their label.
        trial_drift: random walk over a patient's trials of heart rate, T wave and gain; of the
            alpha rhythm and gain.
        noise: 1 is 0.03 mV of sensor noise and 0.08 mV of baseline wander; 1.5 uV for EEG.
        artefact_rate: share of trials with a motion, muscle or (EEG) blink artefact.
        lead_off_rate: share of trial's channels that are off: constant over the trial.
        sampling_rate: whole Hz; 0 takes 100 for ECG and 128 for EEG.
        n_channels: the first of the 15 leads or 32 electrodes; 0 takes 12 and 16.
        seed: equal settings and seed write equal bytes.

    Raises:
        ConfigError: a value outside its range.
    """

    kind: str = "ecg"
    n_patients: int = 40
    trials_per_patient: int = 10
    seconds: float = 5.0
    disease_effect: float = 1.0
    patient_effect: float = 1.0
    trial_drift: float = 1.0
    noise: float = 1.0
    artefact_rate: float = 0.02
    lead_off_rate: float = 0.0
    sampling_rate: int = 0
    n_channels: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS, error=ConfigError)
        if self.sampling_rate == 0:
            object.__setattr__(self, "sampling_rate", _RATE[self.kind])
        if self.n_channels == 0:
            object.__setattr__(self, "n_channels", _CHANNELS[self.kind])
        self._whole("n_patients", 2, 9999)
        self._whole("trials_per_patient", 1, 9999)
        self._whole("sampling_rate", 50, 10000)
        self._whole("n_channels", 1, len(_NAMES[self.kind]))
        self._whole("seed", 0, 2**62)
        self._number("seconds", 0.5, 3600.0)
        for name in ("disease_effect", "patient_effect", "trial_drift", "noise"):
            self._number(name, 0.0, 10.0)
        for name in ("artefact_rate", "lead_off_rate"):
            self._number(name, 0.0, 1.0)
        steps = self.seconds * self.sampling_rate
        if abs(steps - round(steps)) > 1e-6 or len(f"{self.seconds:g}") > 8:
            raise ConfigError(
                "seconds", self.seconds, f"choose whole steps at {self.sampling_rate} Hz"
            )

    def _whole(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ConfigError(name, value, f"give a whole number from {low} to {high}")

    def _number(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not math.isfinite(value) or not low <= value <= high:
            raise ConfigError(name, value, f"give a number from {low:g} to {high:g}")

    @property
    def trial_steps(self) -> int:
        """Steps of one trial."""
        return round(self.seconds * self.sampling_rate)

    @property
    def n_steps(self) -> int:
        """Steps of one patient's recording."""
        return self.trial_steps * self.trials_per_patient

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Leads or electrodes of the recordings."""
        return tuple(_NAMES[self.kind][: self.n_channels])

    @property
    def unit(self) -> str:
        """Unit of the recordings."""
        return "mV" if self.kind == "ecg" else "uV"

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CohortConfig:
        """Settings from a mapping, as from a configuration file.

        Raises:
            ConfigError: an unknown key or a bad value.
        """
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise ConfigError(str(key), values[key], nearest(str(key), known))
        return cls(**values)
