"""New recordings for a saved classifier: read, and brought to the form it was trained on."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from data_loaders import ChannelStats, EEGProtocol, MedicalDataset
from data_loaders.container.recordings import Recordings
from data_loaders.ecg.protocol import ECGProtocol
from data_loaders.ecg.signal import resample
from data_loaders.eeg.channels import canonical_channel
from data_loaders.eeg.recording import EXTENSIONS
from data_loaders.filters import filtered
from data_loaders.signals import volts
from data_loaders.vetting.tables import read_text_table
from tscl.errors import ConfigError, DataError, InputError, check_choice, nearest
from tscl.evaluation.clinical.fitted import CARD, FittedClassifier
from tscl.evaluation.explain import Explanation, explain
from tscl.runs.clinical.config import ClinicalDataSection
from tscl.runs.clinical.data import detect_kind, load_patients
from tscl.runs.label_efficiency.config import RecordingData
from tscl.runs.label_efficiency.data import load_recordings
from tscl.runs.loaders import find_loader, loader_keys

logger = logging.getLogger(__name__)
Data = MedicalDataset | Recordings
OWN_CHANNELS = ("leads", "channels")
"""Loaders' arguments for the choice of channels: new data are read with those they have."""
OWN_PLACES = ("cache", "table", "columns", "label_names", "unlabelled", "max_trials")
"""Arguments that belong to one folder or one set of labels."""
RATES = {"wfdb": "target_rate", "eeg": "rate"}


def input_facts(data: Data, standardize: str, stats: ChannelStats | None = None) -> dict[str, Any]:
    """What a classifier's card keeps of its input: channels in order, unit, rate, filter, scaling.

    Args:
        data: as they were loaded.
        standardize: ``none``, ``train``, or of what each channel is standardised, such as ``trial``
            or ``recording``.
        stats: the figures of ``train``.
    """
    rates = np.atleast_1d(data.sampling_rate)
    keys = {*ECGProtocol.keys(), *EEGProtocol.keys()} - set(OWN_CHANNELS)
    facts: dict[str, Any] = {
        "channels": list(data.channel_names),
        "unit": data.source.get("unit"),
        "sampling_rate": float(rates[0]),
        "band": data.source.get("band"),
        "notch": data.source.get("notch"),
        "standardize": standardize,
        "protocol": {key: data.source[key] for key in sorted(keys & data.source.keys())},
    }
    if isinstance(data, MedicalDataset):
        facts["window"] = data.n_timesteps
    if stats is not None:
        facts |= {"mean": stats.mean.tolist(), "std": stats.std.tolist()}
    return facts


def find_classifier(run: Path, name: str | None = None, main: str | None = None) -> Path:
    """Folder of a saved classifier: ``run`` itself, or one of those of a run.

    Args:
        run: run folder, or folder of a classifier.
        name: which of the run's; None takes the first of the row ``main``, a probe before a
            fine-tuned network, else the only one.
        main: row of the configured method.

    Raises:
        ConfigError: none there, no such name, or several and none chosen.
    """
    if name is None and (run / CARD).is_file():
        return run
    known = {
        card.parent.name: card.parent for card in sorted((run / "classifiers").glob(f"*/{CARD}"))
    }
    if not known:
        raise ConfigError("--model", run, "holds no saved classifier; run `tscl run` first")
    if name is None:
        mine = [candidate for candidate in known if candidate.startswith(f"{main}-fold")]
        mine.sort(key=lambda candidate: "-partial-" not in candidate)
        if len(known) > 1 and not mine:
            raise ConfigError("--classifier", None, f"choose one of {', '.join(known)}")
        return known[(mine or list(known))[0]]
    check_choice("--classifier", name, known, error=ConfigError)
    return known[name]


def load_new(
    facts: Mapping[str, Any],
    trained: Mapping[str, Any],
    folder: Path,
    kind: str | None,
    params: Mapping[str, Any],
) -> Data:
    """Recordings of another folder, read as those that were trained on: filter, rate and cut.

    Args:
        facts: of :func:`input_facts`.
        trained: ``kind`` and ``params`` of the loader of the training data; ``label`` and
            ``label_kind`` where labels are read from columns.
        folder: where they lie; a ``labels.csv`` names records and patients where there is one,
            otherwise every WFDB header or EEG file is a record and a patient of its own.
        kind: of the folder; None is told by its files.
        params: further arguments of the loader.

    Raises:
        ConfigError: files that do not tell what they are, or an argument the loader lacks.
        DataError: what the loader raises.
    """
    whole = "window" not in facts
    kind = kind or _kind(folder, whole=whole)
    same = dict(trained.get("params", {})) if trained.get("kind") == kind else {}
    given = {k: v for k, v in same.items() if k not in (*OWN_CHANNELS, *OWN_PLACES)}
    listed = {} if "table" in params else _table(folder, kind)
    if whole:
        if kind == "wfdb":
            given |= {"rate": facts["sampling_rate"], "band": facts["band"]}
            given |= {"notch": facts["notch"]}
        values = {"kind": kind, "root": str(folder), "standardize": False}
        return load_recordings(
            RecordingData(**values, params={**given, **listed, **params}),  # type: ignore[arg-type]
            folder,
        )
    own = loader_keys(find_loader(kind, key="--kind"))
    given |= {k: v for k, v in facts["protocol"].items() if k in own}
    if kind in RATES:
        given[RATES[kind]] = facts["sampling_rate"]
    section = ClinicalDataSection(
        kind=kind,
        root=str(folder),
        params={**given, **listed, **params},
        label=trained.get("label"),
        label_kind=trained.get("label_kind"),
    )
    return load_patients(section, folder)


def _kind(folder: Path, *, whole: bool) -> str:
    """What the files of a folder are."""
    kind = detect_kind(folder)
    if whole and (folder / "recordings.json").is_file():
        return "recordings"
    if kind is not None:
        return kind
    if next(folder.rglob("*.hea"), None) is not None:
        return "wfdb"
    if any(next(folder.rglob(f"*{end}"), None) is not None for end in EXTENSIONS):
        return "eeg"
    raise ConfigError("--data", folder, "its files do not tell what they are; say --kind")


def _table(folder: Path, kind: str) -> dict[str, Any]:
    """The loader's table of records where labels are not known."""
    if kind not in ("wfdb", "eeg"):
        return {}
    path = folder / "labels.csv"
    if path.is_file():
        frame = read_text_table(path)
    else:
        ends = (".hea",) if kind == "wfdb" else EXTENSIONS
        files = sorted(file for end in ends for file in folder.rglob(f"*{end}"))
        names = [file.relative_to(folder).as_posix().removesuffix(".hea") for file in files]
        frame = pd.DataFrame({"record": names})
    if "record" in frame and "patient" not in frame:
        frame["patient"] = frame["record"]
    if "label" not in frame:
        frame["label"] = ""
    return {"table": frame}


def adapted(data: Data, facts: Mapping[str, Any]) -> Data:
    """``data`` in the form of a card: unit, rate, scaling, and its channels in its order.

    Channels are matched by name. A missing one is NaN, which encoders mask; further ones are left
    out; another rate is resampled. Each is said in the log.

    Args:
        data: new recordings or samples.
        facts: of :func:`input_facts`.

    Raises:
        InputError: no channel of the card, a unit that is no voltage beside one that is, or
            samples without the card's filter.
    """
    place = _places(data.channel_names, facts["channels"])
    here = [at for at in place if at is not None]
    factor = _factor(data.source.get("unit"), facts["unit"])
    rate, target = float(np.atleast_1d(data.sampling_rate)[0]), float(facts["sampling_rate"])
    if rate != target:
        logger.warning("resampled from %g to %g Hz", rate, target)
    band, notch = facts["band"], facts["notch"]
    unlike = _plain(data.source.get("band")) != _plain(band)
    if isinstance(data, MedicalDataset):
        if unlike:
            known = data.source.get("band")
            remedy = f"load the recordings with band={band}: samples are too short to filter"
            raise InputError("band", known, remedy)
        if rate == target:
            values = np.asarray(data.X)[:, :, here] * factor
        else:
            whole = np.asarray(data.X)[:, :, here]
            values = np.stack([resample(sample, rate, target) for sample in whole]) * factor
        if values.shape[1] != facts.get("window", values.shape[1]):
            logger.warning("windows of %d steps, not of %d", values.shape[1], facts["window"])
        return _samples(data, _scaled(data, values, here, place, facts), facts)
    signals = []
    for row in range(len(data)):
        signal = data[row][:, here] * np.float32(factor)
        if unlike:
            signal = filtered(signal, rate, band=band, notch=notch)
        signals.append(resample(signal, rate, target))
    own = _recordings(data, signals, [facts["channels"][i] for i in _known(place)], target)
    if facts["standardize"] == "recording":
        own = own.standardize()
    elif facts["standardize"] == "train":
        own = own.standardize(ChannelStats(*_figures(facts, place), 0))
    if len(here) == len(place):
        return own
    wide = [_with_missing(own[row], place) for row in range(len(own))]
    return _recordings(data, wide, facts["channels"], target)


def _places(names: Sequence[str], wanted: Sequence[str]) -> list[int | None]:
    """Where each wanted channel is among ``names``; None where it is missing."""
    if all(name == f"ch{i}" for i, name in enumerate(wanted)) and len(names) == len(wanted):
        return list(range(len(names)))  # trained on channels without names
    keys = [canonical_channel(name) for name in names]
    place: list[int | None] = []
    for name in wanted:
        options = [canonical_channel(option) for option in name.split("|")]
        at = next((keys.index(option) for option in options if option in keys), None)
        place.append(at)
    missing = [name for name, at in zip(wanted, place, strict=True) if at is None]
    extra = [name for i, name in enumerate(names) if i not in place]
    if len(missing) == len(wanted):
        remedy = f"the model needs {', '.join(wanted)}; name the channels so"
        raise InputError("channels", ", ".join(names), remedy)
    if missing:
        logger.warning("missing channels, masked: %s", ", ".join(missing))
    if extra:
        logger.warning("channels left out, not the model's: %s", ", ".join(extra))
    return place


def _factor(unit: str | None, wanted: str | None) -> float:
    """What turns values of ``unit`` into ``wanted``."""
    if unit == wanted or wanted is None:
        return 1.0
    here, there = (None if name is None else volts(name) for name in (unit, wanted))
    if there is None or (unit is None and here is None):
        logger.warning("unit of the data: %s; the model was trained on %s", unit, wanted)
        return 1.0
    if here is None:
        raise InputError("unit", unit, f"the model was trained on values in {wanted}")
    logger.warning("values in %s turned into %s", unit, wanted)
    return here / there


def _scaled(
    data: MedicalDataset,
    values: NDArray[np.floating],
    here: list[int],
    place: list[int | None],
    facts: Mapping[str, Any],
) -> NDArray[np.float32]:
    """Samples standardised as the card says, with all its channels."""
    how = facts["standardize"]
    if how == "train":
        mean, std = _figures(facts, place)
        values = (values - mean) / std
    elif how != "none":
        part = MedicalDataset(
            values, None, data.patient, data.trial, facts["sampling_rate"], allow_nan=True
        )
        values = np.asarray(part.standardize(how).X)
    return values if len(here) == len(place) else _with_missing(values, place)


def _figures(
    facts: Mapping[str, Any], place: list[int | None]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation that the card scales by, of the channels that are there."""
    known = _known(place)
    return np.asarray(facts["mean"])[known], np.asarray(facts["std"])[known]


def _known(place: list[int | None]) -> list[int]:
    return [i for i, at in enumerate(place) if at is not None]


def _with_missing(values: NDArray[Any], place: list[int | None]) -> NDArray[np.float32]:
    """Values (..., present) as (..., all channels), NaN where a channel is missing."""
    wide = np.full((*values.shape[:-1], len(place)), np.nan, np.float32)
    wide[..., _known(place)] = values
    return wide


def _samples(
    data: MedicalDataset, values: NDArray[np.floating], facts: Mapping[str, Any]
) -> MedicalDataset:
    return MedicalDataset(
        values,
        data.label,
        data.patient,
        data.trial,
        facts["sampling_rate"],
        label_names=data.label_names,
        label_kind=data.label_kind if data.label_kind == "target" else None,
        channel_names=facts["channels"],
        name=data.name,
        source={**data.source, "unit": facts["unit"]},
        columns=data.columns,
        allow_nan=True,
        log=data.log,
    )


def _recordings(
    data: Recordings, signals: list[NDArray[np.float32]], channels: Sequence[str], rate: float
) -> Recordings:
    return Recordings.from_arrays(
        signals,
        rate,
        store="float32",
        label=data.label,
        label_names=data.label_names,
        patient=data.patient,
        trial=data.trial,
        record=data.record,
        channel_names=list(channels),
        name=data.name,
        source=data.source,
        columns=data.columns,
        log=data.log,
    )


def _plain(band: Any) -> list[Any] | None:
    return None if band is None else list(band)


def sample_names(data: Data) -> pd.DataFrame:
    """Record, window (its number in the record), trial and patient of every sample.

    A record without a name is called by its trial.
    """
    if isinstance(data, Recordings):
        record, trial = data.record, data.trial
    else:
        trial = data.trial
        record = data.columns["record"].to_numpy() if "record" in data.columns else trial
    names = pd.DataFrame({"record": record, "trial": trial, "patient": data.patient})
    names.insert(1, "window", names.groupby("record", sort=False).cumcount())
    return names


def further_columns(data: Data, taken: Sequence[str]) -> pd.DataFrame:
    """What else the data's table says of every sample; before a name in ``taken`` stands
    ``table``."""
    own = data.columns.drop(columns="record", errors="ignore")
    return own.rename(columns={name: f"table {name}" for name in own if name in taken})


def probability_columns(
    proba: NDArray[np.floating], classes: Sequence[str]
) -> dict[str, NDArray[np.floating]]:
    """A column ``p_CLASS`` for every class."""
    return {f"p_{name}": proba[:, code] for code, name in enumerate(classes)}


def predict_table(classifier: FittedClassifier, data: Data) -> pd.DataFrame:
    """Probabilities of new recordings, a line a sample or whole recording.

    Columns: record, window (its number in the record), trial, patient, predicted, ``p_CLASS``. Of
    several labels ``predicted`` names those of .5 and more; of a number there is no ``p_``.

    Args:
        classifier: as loaded.
        data: of :func:`load_new`.

    Raises:
        DataError: see :func:`adapted`; a channel missing for band power.
    """
    ready = adapted(data, classifier.card["preprocessing"])
    values = ready if isinstance(ready, Recordings) else np.asarray(ready.X)
    try:
        proba = classifier.predict_proba(values)
    except InputError as error:
        raise DataError(error.field, error.value, error.remedy) from None
    frame = sample_names(data)
    if classifier.kind == "target":
        return frame.assign(predicted=proba[:, 0])
    if classifier.kind == "multilabel":
        chosen = [np.asarray(classifier.classes)[row >= 0.5].tolist() for row in proba]
        frame["predicted"] = [";".join(names) or "none" for names in chosen]
    else:
        frame["predicted"] = np.asarray(classifier.classes)[proba.argmax(axis=1)]
    return frame.assign(**probability_columns(proba, classifier.classes))


STRETCH = 10.0
"""Seconds of a whole recording that are explained at once."""


def explain_record(
    classifier: FittedClassifier,
    data: Data,
    record: str,
    *,
    window: int | None = None,
    **options: Any,
) -> tuple[Explanation, Figure]:
    """What in a window of a new recording speaks for a class, and its picture in the card's unit.

    Args:
        classifier: as loaded.
        data: of :func:`load_new`.
        record: its name, as in :func:`predict_table`.
        window: its number in the record, of whole recordings the number of the 10 s; None takes
            the sample with the most certain prediction, or the first 10 s.
        **options: of :func:`tscl.evaluation.explain.explain`.

    Raises:
        InputError: no such record or window, or what :func:`adapted` raises.
    """
    names = sample_names(data)["record"].astype(str).to_numpy()
    rows = np.flatnonzero(names == record)
    if not len(rows):
        raise InputError("record", record, nearest(record, list(dict.fromkeys(names))))
    facts = classifier.card["preprocessing"]
    own = data.subset(rows)
    ready, plain = (adapted(own, how) for how in (facts, {**facts, "standardize": "none"}))
    rate = float(facts["sampling_rate"])
    if isinstance(ready, Recordings) and isinstance(plain, Recordings):
        long = max(1, round(STRETCH * rate))
        cuts = [slice(start, start + long) for start in range(0, len(ready[0]), long)]
        series, values = ([data[0][cut] for cut in cuts] for data in (ready, plain))
        first = 0
    else:
        assert isinstance(ready, MedicalDataset)
        assert isinstance(plain, MedicalDataset)
        series, values = list(np.asarray(ready.X)), list(np.asarray(plain.X))
        first = int(classifier.predict_proba(np.asarray(ready.X)).max(axis=1).argmax())
    at = first if window is None else window
    if not 0 <= at < len(series):
        raise InputError("window", window, f"{record} has windows 0 to {len(series) - 1}")
    answer = explain(classifier, series[at], classifier.classes, **options)
    figure = answer.figure(
        values[at],
        rate,
        unit=facts["unit"] or "",
        channels=facts["channels"],
        title=f"{record}, window {at}",
    )
    return answer, figure
