"""The learning curve of a meta-training, as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from agents.checkpoint import write_whole
from launch.plots import GRID, LOOK, SOFT, STYLES


def learning_curve(path: Path, iteration: Sequence[int], value: Sequence[float], name: str) -> None:
    """Write a PNG of a value against the iteration: each one faint, the mean of every fiftieth part strong."""
    style = STYLES["software"]
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.plot(iteration, value, color=SOFT, alpha=0.35, linewidth=0.6)
        parts = np.array_split(np.stack([iteration, value]), min(50, len(value)), axis=1)
        means = np.array([part.mean(1) for part in parts])
        axes.plot(means[:, 0], means[:, 1], color=style.colour, linewidth=style.width)
        axes.set(xlabel="iteration of the outer loop", title=name, yscale="log")
        axes.grid(color=GRID, linewidth=0.6, which="both")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
        picture = io.BytesIO()
        FigureCanvasAgg(figure).print_png(picture)
    write_whole(path, picture.getvalue())
