"""Pictures of a chip: what lies where on its cores, and maps of conductance, age and wear of its devices."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MultipleLocator

from launch.plots import GRID, INK, LOOK, SOFT
from pcm_backend.chip import CORE
from pcm_backend.floorplan import FloorPlan, Placement

FILLS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#8a9099")
"""Okabe and Ito's colours, one for a layer."""


class Map(NamedTuple):
    """One quantity of every device of an array."""

    name: str
    """What it is, with its unit."""
    values: Any
    """Shape: (output lines, rows)."""
    signed: bool = False
    """Whether zero lies in the middle of the colours."""
    log: bool = False
    """Whether colours follow the logarithm."""


def plan_png(plan: FloorPlan, title: str) -> bytes:
    """Return a PNG with a square for every core: rows downwards, output lines to the right, a colour for each layer."""
    layers = list(dict.fromkeys(each.layer for each in plan.placements))
    fills = {layer: FILLS[index % len(FILLS)] for index, layer in enumerate(layers)}
    across = min(plan.n_cores, 4)
    down = -(-plan.n_cores // across)
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(1.2 + 3.9 * across, 1.5 + 3.9 * down), layout="constrained")
        squares = figure.subplots(down, across, squeeze=False).flatten()
        for core, axes in enumerate(squares):
            _core(axes, [each for each in plan.placements if each.core == core], fills)
            axes.set_title(f"core {core}: {plan.lines_used(core)} of {CORE} lines")
            axes.set_visible(core < plan.n_cores)
        keys = [Rectangle((0, 0), 1, 1, color=fills[layer]) for layer in layers]
        figure.legend(keys, layers, loc="outside lower left", ncols=min(len(layers), 6))
        figure.suptitle(f"{title}: {plan.cells:,} cells, {plan.share:.0%} of {_cores(plan.n_cores)}", x=0.01, ha="left")
        return _png(figure)


def maps_png(maps: Sequence[Map], title: str) -> bytes:
    """Return a PNG of maps one above the other, each with its own colours; lines downwards, rows to the right."""
    n_lines = np.shape(maps[0].values)[0]
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(8.6, 0.7 + len(maps) * (0.95 + min(0.16 * n_lines, 2.2))), layout="constrained")
        panels = figure.subplots(len(maps), 1, sharex=True, squeeze=False)[:, 0]
        for axes, each in zip(panels, maps, strict=True):
            shown = _map(axes, each)
            axes.set_title(each.name)
            bar = figure.colorbar(shown, ax=axes, aspect=9, pad=0.015)
            bar.outline.set_visible(False)  # type: ignore[operator]
        panels[-1].set_xlabel("row")
        figure.supylabel("output line", fontsize=10.5, color=INK)
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
        return _png(figure)


def _core(axes: Axes, placements: Sequence[Placement], fills: dict[str, str]) -> None:
    axes.add_patch(Rectangle((0, 0), CORE, CORE, facecolor="none", edgecolor=SOFT, linewidth=1.0, zorder=3))
    for each in placements:
        width, height = each.line_stop - each.line_start, each.row_stop - each.row_start
        corner = (each.line_start, each.row_start)
        axes.add_patch(
            Rectangle(corner, width, height, facecolor=fills[each.layer], edgecolor="white", linewidth=0.8)
        )  # fmt: skip
        if width >= 24 and height >= 14:
            label = f"{each.layer}\nrow {each.layer_row} on" if each.layer_row and height >= 30 else each.layer
            turned = 90 if width < 8 * len(each.layer) and height > width else 0
            centre = (corner[0] + width / 2, corner[1] + height / 2)
            axes.text(*centre, label, ha="center", va="center", rotation=turned, fontsize=9, color=INK)
    axes.set(xlim=(-2, CORE + 2), ylim=(CORE + 2, -2), aspect="equal", xlabel="output line", ylabel="row")
    axes.xaxis.set_major_locator(MultipleLocator(64))
    axes.yaxis.set_major_locator(MultipleLocator(64))
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def _map(axes: Axes, each: Map) -> Any:
    values = np.asarray(each.values, dtype=float)
    largest = float(np.abs(values).max()) or 1.0
    norm = Normalize(-largest, largest) if each.signed else Normalize(0.0, largest)
    if each.log:
        norm = LogNorm(max(float(values[values > 0].min(initial=largest)), 1e-12), largest)
        values = np.where(values > 0, values, np.nan)
    shown = axes.imshow(
        values, cmap="RdBu_r" if each.signed else "cividis", norm=norm, aspect="auto", interpolation="none"
    )  # fmt: skip
    axes.set_facecolor(GRID)
    axes.yaxis.set_major_locator(MultipleLocator(max(1, len(values) // 4)))
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    return shown


def _cores(number: int) -> str:
    return "1 core" if number == 1 else f"{number} cores"


def _png(figure: Figure) -> bytes:
    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(picture)
    return picture.getvalue()
