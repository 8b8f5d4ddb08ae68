"""The picture of a learning-rate range test: the loss against the rate, and where the suggested peak lies. training/
find_lr.py makes the test; curves.py draws whole trainings.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from ..data.outputs import drawing
from ..visualize.canvas import drawable, quiet_matplotlib
from .curves import TRAIN, VALIDATION, save

_MARGINS = {"left": 0.09, "right": 0.97, "bottom": 0.13, "top": 0.88}
RATES = drawing("a range test")
_ABOVE = 1.6  # times the first smoothed loss: what runs away further is cut off


@quiet_matplotlib()
def draw(rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], path: str | os.PathLike[str],
         title: str, suggestion: float | None) -> Path:
    """Draw losses, and smoothed ones as a line, against learning rates (log scale), as a PNG file.

    suggestion, where there is one, is marked. Raises SaveError where the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.6), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.subplots(gridspec_kw=_MARGINS)
    axes.set_title(drawable(title), fontsize=12, fontweight="bold", parse_math=False)
    axes.plot(rates, losses, ".", color="#b0b4ba", markersize=4, label="each step")
    axes.plot(rates, smoothed, "-", color=TRAIN, linewidth=2, label="smoothed")
    if suggestion is not None:
        axes.axvline(suggestion, color=VALIDATION, linestyle="--", label=f"suggested peak: {suggestion:g}")
    axes.set_xscale("log")
    if smoothed:
        bottom, first = min(*losses, *smoothed), smoothed[0]
        axes.set_ylim(bottom - 0.08 * max(first - bottom, 0.1), max(_ABOVE * first - 0.6 * bottom, bottom + 0.1))
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss (cross-entropy, nats)")
    axes.grid(color="#e3e5e8", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False)
    return save(figure, path, RATES)
