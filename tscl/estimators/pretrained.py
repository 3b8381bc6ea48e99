"""Encoders that come with the library, trained on public recordings by committed recipes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from data_loaders.container.recordings import Recordings
from data_loaders.ecg.signal import resample
from data_loaders.filters import filtered
from data_loaders.record_log import RecordError
from data_loaders.signals import ECG, MAX_RATE, Recording, check_quality, volts
from tscl.encoders.base import Encoder
from tscl.errors import InputError, check_choice, is_number
from tscl.evaluation.recordings import embed_recordings
from tscl.saving.encoder import CARD, load_encoder

HOME = Path(__file__).resolve().parents[1] / "pretrained"
LIMB_LEADS = {"iii": (-1.0, 1.0), "avr": (-0.5, -0.5), "avl": (1.0, -0.5), "avf": (-0.5, 1.0)}
"""Leads that follow from I and II: their share of each (Einthoven, Goldberger)."""
REMEDIES = {
    "unit_suspect": "give units= as they were recorded, such as 'uV'",
    "flat_lead": "leave the signal out; an electrode was off",
    "nan_gap": "cut the gap out, or fill it",
}


@dataclass(frozen=True)
class Pretrained:
    """An encoder with its card, which says how its input has to be prepared.

    Attributes:
        name: as :func:`load_pretrained` takes it.
        encoder: gives one embedding a series; its ``backbone`` gives one each few steps.
        card: data, licence and attribution, preprocessing, training and its recipe, metrics.
    """

    name: str
    encoder: Encoder
    card: dict[str, Any]

    def prepare(
        self,
        signals: Recordings | NDArray[np.floating] | Sequence[NDArray[np.floating]],
        *,
        rate: float | None = None,
        units: str = "mV",
        channels: Sequence[str] | None = None,
    ) -> Recordings:
        """Signals as the encoder was trained on: leads chosen and put in order, filtered,
        resampled, each lead of zero mean and unit variance.

        Args:
            signals: (n_samples, n_timesteps, n_channels), one such (n_timesteps, n_channels)
                array a signal where they are of unequal length, or Recordings, which bring rate
                and channels themselves. Recordings that were filtered alike are not filtered
                again.
            rate: Hz of arrays, at least the card's.
            units: of arrays: mV, uV, V or another unit of voltage.
            channels: names of the leads of arrays, in any order and case; further ones are left
                out. Not needed for one channel where the encoder takes one. Limb leads that are
                missing are computed from I and II.

        Returns:
            Recordings at the card's rate with its leads.

        Raises:
            InputError: no or too low a rate, an unknown unit, leads that are missing or not named,
                and signals that are too short, flat, not finite or not of the size of an ECG.
        """
        how = self.card["preprocessing"]
        if isinstance(signals, Recordings):
            if rate is not None or channels is not None:
                remedy = "leave them out: recordings bring their own"
                raise InputError("rate, channels", (rate, channels), remedy)
            return self._prepare_recordings(signals)
        rate, arrays = self._check_rate(rate), _as_arrays(signals)
        per_unit = volts(units)
        if per_unit is None:
            raise InputError("units", units, "give a unit of voltage, such as mV, uV or V")
        mix = self._mix(channels, arrays[0].shape[1], derive=True)
        prepared = []
        for number, array in enumerate(arrays):
            if array.shape[1] != len(mix):
                raise InputError(
                    f"signals[{number}]", f"{array.shape[1]} channels", f"give {len(mix)}"
                )
            wide = array.astype(np.float64) * (per_unit * ECG.per_volt) @ mix
            leads = tuple(lead.split("|")[0] for lead in how["leads"])
            recording = Recording(str(number), wide.astype(np.float32), rate, leads, ECG)
            try:
                signal = check_quality(recording, max_flat=0.9).signal
            except RecordError as error:
                remedy = REMEDIES.get(error.reason, "leave the signal out")
                raise InputError(f"signals[{number}]", error.detail, remedy) from None
            prepared.append(self._filter_and_resample(signal, rate, number))
        return self._collect(prepared)

    def embed(
        self,
        signals: Recordings | NDArray[np.floating] | Sequence[NDArray[np.floating]],
        *,
        rate: float | None = None,
        units: str = "mV",
        channels: Sequence[str] | None = None,
        batch_size: int = 64,
    ) -> NDArray[np.float32]:
        """One embedding a signal; long ones are cut into windows whose embeddings are averaged.

        Args:
            signals, rate, units, channels: see :meth:`prepare`.
            batch_size: most pieces encoded at a time.

        Returns:
            (n_samples, D) float32.

        Raises:
            InputError: as :meth:`prepare`.

        Example:
            >>> import tscl
            >>> beats = 0.05 * np.random.default_rng(0).normal(size=(2, 5000, 1))
            >>> beats[:, ::400] += 1.0
            >>> tscl.load_pretrained("ecg-1lead").embed(beats, rate=500, units="mV").shape
            (2, 467)
        """
        data = self.prepare(signals, rate=rate, units=units, channels=channels)
        window = int(self.card["preprocessing"]["window"])
        return embed_recordings(
            self.encoder, data, whole=window * 7 // 6, window=window, batch_size=batch_size
        )

    def _prepare_recordings(self, data: Recordings) -> Recordings:
        how = self.card["preprocessing"]
        rate = self._check_rate(data.sampling_rate)
        mix = self._mix(data.channel_names, data.n_channels, derive=False)
        alike = list(data.source.get("band") or ()) == how["band"]
        if alike and rate == how["rate"] and np.array_equal(mix, np.eye(len(mix))):
            return data.standardize()
        prepared = []
        for row in range(len(data)):
            signal = (data[row] @ mix).astype(np.float32)
            if not np.isfinite(signal).all():
                remedy = "fill the gaps, or leave the recording out with recordings.subset"
                raise InputError(f"recording {data.record[row]}", "missing values", remedy)
            prepared.append(self._filter_and_resample(signal, rate, row, filtering=not alike))
        return self._collect(prepared, record=data.record, patient=data.patient, label=data.label)

    def _check_rate(self, rate: float | None) -> float:
        least = float(self.card["preprocessing"]["rate"])
        if rate is None or not is_number(rate) or not 0 < rate <= MAX_RATE:
            raise InputError("rate", rate, "give the sampling rate of the signals in Hz")
        if rate < least:
            remedy = f"give signals of at least {least:g} Hz; lower ones lack what it looks at"
            raise InputError("rate", rate, remedy)
        return float(rate)

    def _mix(
        self, channels: Sequence[str] | None, given: int, *, derive: bool
    ) -> NDArray[np.float64]:
        """Each of the card's leads from the given channels, (given, leads)."""
        leads = [str(names).split("|") for names in self.card["preprocessing"]["leads"]]
        if given == len(leads) == 1:
            return np.ones((1, 1))
        wanted = ", ".join(" or ".join(names) for names in leads)
        if channels is None:
            remedy = f"name the {given} channels in their order; it needs {wanted}"
            raise InputError("channels", None, remedy)
        names = [str(name).lower() for name in channels]
        if len(names) != given or len(set(names)) < given:
            raise InputError("channels", channels, f"name each of the {given} channels once")
        mix = np.zeros((given, len(leads)))
        for place, spelled in enumerate(leads):
            options = [spelling.lower() for spelling in spelled]
            at = next((names.index(option) for option in options if option in names), None)
            if at is not None:
                mix[at, place] = 1.0
            elif derive and options[0] in LIMB_LEADS and {"i", "ii"} <= set(names):
                mix[[names.index("i"), names.index("ii")], place] = LIMB_LEADS[options[0]]
            else:
                remedy = f"lead {' or '.join(spelled)} is missing; it needs {wanted}"
                remedy += "; pass the one lead alone" if len(leads) == 1 else ""
                raise InputError("channels", list(channels), remedy)
        return mix

    def _filter_and_resample(
        self, signal: NDArray[np.float32], rate: float, number: int, *, filtering: bool = True
    ) -> NDArray[np.float32]:
        how = self.card["preprocessing"]
        if len(signal) < rate:
            remedy = "give at least 1 s; 5 s or more tell about the rhythm"
            raise InputError(f"signals[{number}]", f"{len(signal) / rate:.3g} s", remedy)
        if filtering and how["filter"] == "butterworth":
            sos = butter(how["order"], how["band"], "bandpass", fs=rate, output="sos")
            signal = sosfiltfilt(sos, signal, axis=0).astype(np.float32)
        elif filtering:
            signal = filtered(signal, rate, band=how["band"])
        return resample(signal, rate, float(how["rate"])).astype(np.float32)

    def _collect(self, prepared: list[NDArray[np.float32]], **fields: Any) -> Recordings:
        how = self.card["preprocessing"]
        return Recordings.from_arrays(
            prepared,
            float(how["rate"]),
            store="float32",
            channel_names=[lead.split("|")[0] for lead in how["leads"]],
            source={"band": how["band"]},
            **fields,
        ).standardize()


def pretrained_names() -> list[str]:
    """Names that :func:`load_pretrained` takes."""
    return sorted(path.parent.name for path in HOME.glob(f"*/{CARD}"))


def load_pretrained(name: str) -> Pretrained:
    """An encoder that comes with the library; nothing is fetched.

    Args:
        name: one of :func:`pretrained_names`: ``ecg-1lead`` or ``ecg-12lead``.

    Raises:
        InputError: another name.
        CheckpointError: its files are damaged.

    Example:
        >>> import tscl
        >>> tscl.load_pretrained("ecg-1lead").card["preprocessing"]["rate"]
        100.0
    """
    check_choice("name", name, pretrained_names())
    encoder, card = load_encoder(HOME / name)
    return Pretrained(name, encoder, card)


def _as_arrays(
    signals: NDArray[np.floating] | Sequence[NDArray[np.floating]],
) -> list[NDArray[np.floating]]:
    """One array (n_timesteps, n_channels) a signal."""
    arrays = [np.asarray(signal) for signal in signals]
    for number, array in enumerate(arrays):
        if array.ndim != 2 or array.dtype.kind not in "fiu" or 0 in array.shape:
            remedy = "give numbers (n_samples, n_timesteps, n_channels), or a list of such arrays"
            raise InputError(f"signals[{number}]", f"{array.dtype} {array.shape}", remedy)
    if not arrays:
        raise InputError("signals", "none", "give at least one")
    return arrays
