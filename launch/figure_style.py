"""How the figures of a table look: one colour and marker for each learner in all of them, names beside the lines."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from PIL import Image

from agents.checkpoint import write_whole
from launch.plots import GRID, INK, LOOK, SOFT, spread

DPI = 110


class Look(NamedTuple):
    """How one learner is drawn."""

    name: str
    colour: str
    marker: str
    width: float = 1.4


# Okabe and Ito's colours (2008) and Tol's muted ones (2021), told apart by colour-blind eyes, with a marker each.
LOOKS = {
    "delta": Look("delta rule (ours)", "#d55e00", "o", 2.6),
    "reward": Look("from reward (ours)", "#d55e00", "o", 2.6),
    "delta-midlife": Look("delta rule, any start", "#a8481a", "*"),
    "delta-renewed": Look("delta rule, begins again", "#f0a35e", "H"),
    "delta-random": Look("random features", "#e69f00", "D"),
    "delta-plain": Look("plainly trained", "#8c6d46", "p"),
    "reward-renewed": Look("reward, begins again", "#b98a2f", "H"),
    "nominal": Look("nominal", "#cc79a7", "^"),
    "integral": Look("integral action", "#009e73", "P"),
    "oracle": Look("oracle", "#24292e", "x"),
    "ridge": Look("ridge refit", "#999933", "v"),
    "rls": Look("least squares (RLS)", "#332288", "<"),
    "rls-nominal": Look("RLS, nominal lengths", "#6a6fc1", "d"),
    "slotine_li": Look("Slotine-Li", "#117733", ">"),
    "cavia": Look("CAVIA", "#44aa99", "h"),
    "maml": Look("MAML, all weights", "#882255", "s"),
    "ppo": Look("PPO", "#0072b2", "s"),
    "rl2": Look("RL2", "#56b4e9", "X"),
}
OURS = ("reward", "delta")
SPARE_MARKERS = "*dH8"


def look(learner: str) -> Look:
    """Return how a learner is drawn; one that is not of this house is grey."""
    spare = SPARE_MARKERS[sum(map(ord, learner)) % len(SPARE_MARKERS)]
    return LOOKS.get(learner, Look(learner, SOFT, spare))


@dataclass(frozen=True)
class Drawn:
    """A finished figure and what is said below it."""

    name: str
    """Its file's name without the ending."""
    figure: Figure
    """The figure."""
    caption: str
    """What is in it and what is not, in whole sentences."""


class MissingError(Exception):
    """The table lacks what a figure needs; the message says what."""


class Label(NamedTuple):
    """A name to be written beside a value."""

    text: str
    value: float
    colour: str
    bold: bool = False


def new_figure(width: float = 8.6, height: float = 4.3) -> Figure:
    """Return an empty figure, inches."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def name_ends(axes: Axes, labels: Sequence[Label], x: float | Sequence[float] = 1.025) -> None:
    """Write names at their values, moved up and down where they would touch.

    Args:
        axes: Where.
        labels: Names and values.
        x: Fraction of the axes for all of them (beyond 1: right of the axes), or what each one's line ends at.
    """
    axes.figure.canvas.draw()  # fixes the limits of the axes
    low, high = axes.transAxes.transform([(0, 0), (0, 1)])[:, 1]
    wanted = np.array([axes.transData.transform((1.0, label.value))[1] for label in labels])
    places = spread(np.clip(wanted, low, high), axes.figure.dpi * 0.185, low, high)
    into = axes.transData + axes.transAxes.inverted()
    ends = [] if isinstance(x, float | int) else x
    across = [into.transform((end, 1.0))[0] + 0.03 for end in ends] or [x] * len(labels)
    for label, place, where in zip(labels, places, across, strict=True):
        weight, at = "bold" if label.bold else "normal", (where, (place - low) / (high - low))
        axes.annotate(label.text, at, xycoords="axes fraction", color=label.colour, va="center", fontweight=weight)


def log_axis(axis: Any, subs: Sequence[float] = (1.0, 2.0, 5.0)) -> None:
    """Give a logarithmic axis plain numbers at 1, 2 and 5."""
    axis.set_major_locator(LogLocator(subs=tuple(subs)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(which="minor", length=0.0)


def error_axis(axes: Axes, which: Literal["x", "y"], *, log: bool, subs: Sequence[float] = (1.0, 2.0, 5.0)) -> None:
    """Let errors begin at 0, or give them a logarithmic axis where the best are decades better than the worst."""
    if log:
        axes.set(**{f"{which}scale": "log"})
        log_axis(getattr(axes, f"{which}axis"), subs)
    else:
        top = getattr(axes, f"get_{which}lim")()[1]
        axes.set(**{f"{which}lim": (-0.015 * top, top)})  # a marker at 0 is seen whole


def grid(axes: Axes, axis: Any = "y") -> None:
    """Draw quiet lines behind the data."""
    axes.grid(axis=axis, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def line(axes: Axes, x: Any, spread_: Any, learner: str, *, software: bool = False, order: float = 3.0) -> None:
    """Draw a learner's line with its 95 % band; in software it is thin and dashed, without a band."""
    style = look(learner)
    if not software:
        axes.fill_between(x, spread_.low, spread_.high, color=style.colour, alpha=0.15, linewidth=0, zorder=order - 1)
    axes.plot(
        x, spread_.value, "--" if software else "-", color=style.colour, marker=style.marker,
        markersize=3.5 if software else 5, linewidth=1.1 if software else style.width, zorder=order,
    )  # fmt: skip


def order_of(learner: str) -> float:
    """Return how far in front a learner's line lies: ours over all others."""
    return 6.0 if learner in OURS else 3.0


def write_png(drawn: Drawn, folder: Path) -> Path:
    """Write a figure as a PNG of at most 256 colours."""
    raw, small = io.BytesIO(), io.BytesIO()
    with mpl.rc_context(LOOK):
        drawn.figure.savefig(raw, format="png", dpi=DPI)
    Image.open(raw).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    path = folder / f"{drawn.name}.png"
    write_whole(path, small.getvalue())
    return path


def note(axes: Axes, text: str, where: tuple[float, float], **more: Any) -> None:
    """Write a soft remark into the axes, at fractions of them."""
    axes.annotate(text, where, xycoords="axes fraction", color=more.pop("color", SOFT), fontsize=9, **more)


__all__ = [
    "GRID", "INK", "LOOK", "OURS", "SOFT", "Drawn", "Label", "Look", "MissingError", "grid", "line", "log_axis", "look",
    "name_ends", "new_figure", "note", "order_of", "write_png",
]  # fmt: skip
