"""One task of the few-shot classifier on one page: drawings, answers step by step, and the readout's devices."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from agents.maml_showcase import Showcase
from launch.plots import GRID, INK, LOOK, SOFT

FILLS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#6e7781", "#56b4e9", "#d55e00", "#f0e442")
"""Okabe and Ito's colours and a grey, one a character; more characters take them from matplotlib's twenty."""
STRIP, GAP, MARGIN = 0.17, 0.14, 0.07  # in sides of a drawing
MOST_QUERIES = 8
WIDTH, TALLEST, GUTTER = 11.2, 9.0, 0.9  # inches, inches, sides of a drawing


def task_png(show: Showcase, title: str) -> bytes:
    """Return a PNG: what was learned from, what was asked and answered, the devices before and after."""
    ways, shots = show.support.shape[:2]
    queries = min(show.query.shape[1], MOST_QUERIES)
    with mpl.rc_context(LOOK):
        across = shots + queries + GUTTER
        side = min((WIDTH - 0.3) / across, TALLEST / _row(ways))
        top, bottom = side * _row(ways) + 0.75, 3.2
        figure = Figure(figsize=(WIDTH, top + bottom + 0.4), dpi=150, layout="constrained")
        figure.suptitle(title, x=0.008, ha="left", fontsize=12.5, color=INK)
        parts: Any = figure.subfigures(2, 1, height_ratios=[top, bottom])
        upper, lower = parts
        left, right = upper.subplots(1, 2, width_ratios=[shots + 0.6, queries])
        colours = character_colours(ways)
        _support(left, show, colours)
        _query(right, show, colours, queries)
        _devices(lower, show, colours)
        picture = io.BytesIO()
        FigureCanvasAgg(figure).print_png(picture)
        return picture.getvalue()


def character_colours(ways: int) -> list[Any]:
    """Return a colour for each character."""
    if ways <= len(FILLS):
        return [to_rgb(each) for each in FILLS[:ways]]
    return [mpl.colormaps["tab20"](index % 20)[:3] for index in range(ways)]


def letter(number: int) -> str:
    """Return the name of a character: A to Z, then A1, B1, ..."""
    return chr(ord("A") + number % 26) + (str(number // 26) if number >= 26 else "")


def _support(axes: Axes, show: Showcase, colours: list[Any]) -> None:
    for way, drawings in enumerate(show.support):
        y = _row(way)
        axes.text(-0.3, y + 0.5, letter(way), color=colours[way], ha="center", va="center", fontsize=15, weight="bold")
        for shot, drawing in enumerate(drawings):
            _card(axes, shot, y, drawing, colours[way])
    _finish(axes, -0.6, show.support.shape[1], len(show.support), "learned from")


def _query(axes: Axes, show: Showcase, colours: list[Any], queries: int) -> None:
    steps, side = len(show.answers), (1 - 2 * MARGIN) / len(show.answers)
    for way in range(len(show.query)):
        for number in range(queries):
            y, answers = _row(way), show.answers[:, way, number]
            _card(axes, number, y, show.query[way, number], colours[answers[-1]], wrong=answers[-1] != way)
            for step, answer in enumerate(answers):
                corner = (number + MARGIN + step * side, y + 0.98)
                axes.add_patch(Rectangle(corner, side * 0.86, STRIP, facecolor=colours[answer], linewidth=0))
    for step in range(steps):
        x = MARGIN + (step + 0.43) * side
        axes.text(x, _row(0) + 1.0 + STRIP, str(step), ha="center", va="top", fontsize=7, color=SOFT)
    percent = ", ".join(f"{100 * each:.0f}" for each in show.accuracy)
    title = f"asked, and answered after steps 0 to {steps - 1}: {percent} % right"
    _finish(axes, 0.0, queries, len(show.query), title)


def _row(way: int) -> float:
    return way * (1.0 + STRIP + GAP)


def _card(axes: Axes, x: float, y: float, drawing: np.ndarray, colour: Any, wrong: bool = False) -> None:
    """Draw a picture on a card tinted like a character; a wrong answer's card has a border."""
    side = 1 - 2 * MARGIN
    tint = tuple(0.84 + 0.16 * part for part in colour)
    style = f"round,pad=0,rounding_size={MARGIN}"
    edge: dict[str, Any] = {"edgecolor": "#c0182b", "linewidth": 1.8} if wrong else {"linewidth": 0}
    axes.add_patch(FancyBboxPatch((x + MARGIN, y + MARGIN), side, side, boxstyle=style, facecolor=tint, **edge))
    ink = np.empty((*drawing.shape, 4))
    ink[..., :3], ink[..., 3] = to_rgb(INK), drawing / 255.0
    axes.imshow(ink, extent=(x + MARGIN, x + 1 - MARGIN, y + 1 - MARGIN, y + MARGIN), interpolation="lanczos", zorder=3)


def _finish(axes: Axes, left: float, right: float, ways: int, title: str) -> None:
    axes.set(xlim=(left, right), ylim=(_row(ways) + 0.1, -0.02), aspect="equal", anchor="NW")
    axes.set_axis_off()
    axes.set_title(title, fontsize=10.5, color=INK)


def _devices(figure: Any, show: Showcase, colours: list[Any]) -> None:
    largest = max(np.abs(show.before_us).max(), np.abs(show.after_us).max())
    grid = figure.subplots(2, 2, width_ratios=[2.5, 1.0], squeeze=False)
    for axes, values, when in (
        (grid[0, 0], show.before_us, "before any step"),
        (grid[1, 0], show.after_us, "after the last"),
    ):
        shown = axes.imshow(
            values, cmap="RdBu_r", norm=Normalize(-largest, largest), aspect="auto", interpolation="none"
        )
        axes.set_title(f"readout {when}: conductance of each weight's pair, positive minus negative [uS]")
        axes.set_yticks(range(len(values)), [letter(way) for way in range(len(values))])
        axes.tick_params(axis="x", labelbottom=axes is grid[1, 0])
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
    grid[1, 0].set_xlabel("feature")
    bar = figure.colorbar(shown, ax=grid[:, 0], aspect=24, pad=0.01)
    bar.outline.set_visible(False)
    for axes in grid[:, 1]:
        axes.remove()
    _scatter(figure.add_subplot(grid[0, 1].get_gridspec()[:, 1]), show, colours)


def _scatter(axes: Axes, show: Showcase, colours: list[Any]) -> None:
    limit = 1.08 * max(np.abs(show.target).max(), np.abs(show.programmed).max())
    axes.plot([-limit, limit], [-limit, limit], color=GRID, linewidth=1.2, zorder=1)
    for way, colour in enumerate(colours):
        axes.scatter(show.target[way], show.programmed[way], s=11, color=colour, alpha=0.8, linewidth=0, zorder=2)
    error = float(np.std(show.programmed - show.target) / np.abs(show.target).max())  # of the largest
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xlabel="weight asked for", ylabel="programmed")
    axes.set_title(f"after the last step: {100 * error:.1f} % error")
