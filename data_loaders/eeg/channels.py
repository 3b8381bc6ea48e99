"""Names of EEG channels and how they are matched."""

from __future__ import annotations

import re

from data_loaders.record_log import RecordError

_SUFFIX = re.compile(r"[-_ ](REF|LE|AVG|AR|A1|A2|M1|M2)$")
_OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}


def canonical_channel(name: str) -> str:
    """A channel's name without case, ``EEG`` prefix, reference, dots; T3 T4 T5 T6 as T7 T8 P7 P8.

    Example:
        >>> canonical_channel("EEG T3-REF"), canonical_channel("Fc5.")
        ('T7', 'FC5')
    """
    text = name.strip().strip(".").upper()
    text = _SUFFIX.sub("", text.removeprefix("EEG").strip())
    return _OLD_NAMES.get(text, text)


def match_channels(record: str, has: tuple[str, ...], wanted: tuple[str, ...]) -> list[int]:
    """Positions in ``has`` of the ``wanted`` channels: exact names first, then canonical ones.

    Raises:
        RecordError: ``missing_channel`` for names that are absent or fit several channels.
    """
    found, missing = [], []
    keys = [canonical_channel(one) for one in has]
    for name in wanted:
        hits = [i for i, one in enumerate(has) if one == name]
        hits = hits or [i for i, key in enumerate(keys) if key == canonical_channel(name)]
        if len(hits) == 1:
            found.append(hits[0])
        else:
            missing.append(name if not hits else f"{name} ({len(hits)} times)")
    if missing:
        detail = f"no channel {', '.join(missing)}; it has {', '.join(has)}"
        raise RecordError(record, "missing_channel", detail)
    return found
