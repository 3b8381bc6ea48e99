"""A figure recoloured for a dark page: same data, light text, lifted line colours."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
from matplotlib.collections import Collection
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

BACKGROUND = "#16181c"
FOREGROUND = "#d8dce2"


def lifted(colour: Any) -> tuple[float, float, float, float]:
    """The colour for a dark ground: greys mirrored, hues kept and made light enough to read."""
    red, green, blue, alpha = to_rgba(colour)
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    if saturation < 0.15 or light in (0.0, 1.0):
        low, high = (np.asarray(to_rgb(c)) for c in (BACKGROUND, FOREGROUND))
        mixed = high + (low - high) * light
        return float(mixed[0]), float(mixed[1]), float(mixed[2]), alpha
    return *colorsys.hls_to_rgb(hue, max(light, 0.6), saturation), alpha


def darken(figure: Figure) -> None:
    """Recolour ``figure`` in place, after it was drawn once.

    Colours that stand for values (colour maps, images and the texts over them) stay as they are.
    """
    figure.patch.set_facecolor(BACKGROUND)
    kept: set[int] = set()
    for axes in figure.axes:
        axes.set_facecolor(BACKGROUND)
        kept |= {id(axes.patch)}
        if axes.images:
            kept |= {id(text) for text in axes.texts}
    for artist in figure.findobj():
        if id(artist) in kept or artist is figure.patch:
            continue
        if isinstance(artist, (Text, Line2D)):
            artist.set_color(lifted(artist.get_color()))
        elif isinstance(artist, Patch):
            artist.set_edgecolor(lifted(artist.get_edgecolor()))
            artist.set_facecolor(lifted(artist.get_facecolor()))
        elif isinstance(artist, Collection) and artist.get_array() is None:
            for get, put in (
                (artist.get_facecolor, artist.set_facecolor),
                (artist.get_edgecolor, artist.set_edgecolor),
            ):
                put([lifted(one) for one in np.asarray(get()).reshape(-1, 4)])
    for axes in figure.axes:
        axes.tick_params(which="both", colors=FOREGROUND)
