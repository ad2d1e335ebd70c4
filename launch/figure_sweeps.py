"""Figures over what the chip or the body is varied in: programming noise, bits, time since the write, parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from agents.results import Block
from agents.scores import Spread, mean_error
from launch.figure_style import (
    OURS,
    Drawn,
    Label,
    MissingError,
    error_axis,
    grid,
    line,
    look,
    name_ends,
    new_figure,
    order_of,
)
from launch.figure_view import SOFTWARE, View, counts, seeds_note

FRICTION = {"coulomb_nm": "Coulomb friction_nm", "viscous_nms": "viscous friction_nms"}
PANEL = 2.9  # inches
NO_CONVERTERS = 10.0  # where on the axis of bits the chip without converters stands
TIMES = {3600: "1 h", 86400: "1 day", 604800: "1 week", 2592000: "1 month", 31536000: "1 year"}
WIRING = {
    "motor_reversed": ("direction of all motors", {0.0: "right way", 1.0: "reversed"}),
    "motor_swap": ("motors of the first two joints", {-1.0: "in place", 0.0: "swapped"}),
}
"""How an axis and its values are called where they are no quantities."""
Points = list[tuple[float, Block]]


def noise_and_bits(view: View) -> Drawn:
    """Draw errors after the last lesson against programming noise and the converters' bits."""
    panels = [("noise", 1.0, "programming error over the device's own"), ("bits", 8.0, "bits of the converters")]
    found = [(name, text, view.sweep(name, standard=standard)) for name, standard, text in panels]
    found = [panel for panel in found if panel[2]]
    if not found:
        raise MissingError(f"no rows of memories like '{view.memory} noise=2' or '{view.memory} bits=6'")
    figure = new_figure(2.4 + 3.9 * len(found), 4.3)
    width = 0.8 / len(found)
    drawn: list[Axes] = []
    for place, (name, text, series) in enumerate(found):
        box = (0.075 + place * width, 0.125, width - 0.055, 0.85)
        last = figure.add_axes(box, sharey=drawn[0] if drawn else None)
        drawn.append(last)
        _draw(last, _without_converters_last(series) if name == "bits" else series)
        last.set_xlabel(text)
        _software_levels(view, last, series)
        if view.reach:  # the axis begins at 0 and has room for both
            _levels(view, last, max(block.error.shape[2] for points in series.values() for _, block in points))
        _ticks(last, name, sorted({value for points in series.values() for value, _ in points}))
    drawn[0].set_ylabel(view.error_label)
    _finish(drawn[-1], view, _ends(found[-1][2]))
    blocks = [block for _, _, series in found for points in series.values() for _, block in points]
    caption = (
        f"{view.env}, in range: mean error after the last lesson with its 95 % interval, {counts(blocks[-1])} at each "
        f"point; {view.memory} as it is has a programming error of 1 and 8 bits. Dotted: the same learner in software. "
        "The factor applies to every programming of devices, first and later; read noise and drift are not changed. "
        + ("Named at the left: the ends of the scale, score 0 and 1. " if view.reach else "")
    )
    return Drawn("noise_and_bits", figure, caption + seeds_note(blocks))


def age(view: View) -> Drawn:
    """Draw errors of the adapted policy against the time since its last write."""
    series = view.sweep("age")
    if not series:
        raise MissingError(f"no rows of memories like '{view.memory} age=86400', at two ages at least")
    figure = new_figure(8.6, 4.3)
    axes = figure.add_axes((0.085, 0.125, 0.63, 0.85))
    _draw(axes, series)
    axes.set_xscale("log")
    ages = sorted({value for points in series.values() for value, _ in points})
    axes.set_xticks(ages, [_time(value) for value in ages])
    axes.minorticks_off()
    axes.set_xlabel("time between the last write and the episode")
    axes.set_ylabel(view.error_label)
    blocks = [points[-1][1] for points in series.values()]
    _levels(view, axes, blocks[-1].error.shape[2])
    _finish(axes, view, _ends(series))
    caption = (
        f"{view.env}, in range, {view.memory}: mean error of an episode so long after the last lesson, with its 95 % "
        f"interval, {counts(blocks[-1])}; drift is compensated for. Dotted lines: controllers that do not age. "
    )
    return Drawn("age", figure, caption + seeds_note(blocks))


def sensitivity(view: View) -> Drawn:
    """Draw errors after the last lesson against one parameter of the body at a time."""
    found = {name: series for name, series in view.parameters().items() if any(len(p) > 1 for p in series.values())}
    if not found:
        raise MissingError("no rows of bands like 'payload_kg=1.2', at two values of a parameter at least")
    columns = min(3, len(found))
    n_rows = -(-len(found) // columns)
    width, height = 0.8 + PANEL * columns + 2.1, 0.65 + (PANEL + 0.5) * n_rows - 0.4
    figure = new_figure(width, height)
    panels = figure.subplots(n_rows, columns, sharey=True, squeeze=False)
    figure.subplots_adjust(0.8 / width, 0.55 / height, 1.0 - 2.1 / width, 1.0 - 0.1 / height, 0.08, 0.2)
    for axes, (name, series) in zip(panels.ravel(), found.items(), strict=False):
        _draw(axes, series)
        axes.set_xlabel(_parameter(name))
        if name in WIRING:
            places = WIRING[name][1]
            axes.set_xticks(list(places), list(places.values()))
            axes.set_xlim(min(places) - 0.5, max(places) + 0.5)
    for axes in panels.ravel()[len(found) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel(view.error_label)
    last = panels.ravel()[columns - 1]
    labels = _ends(list(found.values())[columns - 1])
    _finish(last, view, labels)
    for axes in panels.ravel()[: len(found)]:
        grid(axes)
    blocks = [points[-1][1] for series in found.values() for points in series.values()]
    caption = (
        f"{view.env}: mean error after the last lesson with its 95 % interval, {counts(blocks[-1])} at each point; one "
        "parameter of the body is set, all others are drawn in range. "
    )
    return Drawn("sensitivity", figure, caption + seeds_note(blocks))


def _draw(axes: Axes, series: dict[str, Points]) -> None:
    for learner, points in series.items():
        found = np.array([[part[0] for part in mean_error(block.at(-1))] for _, block in points])
        line(axes, np.array([value for value, _ in points]), Spread(*found.T), learner, order=order_of(learner))


def _software_levels(view: View, axes: Axes, series: dict[str, Points]) -> None:
    for learner, points in series.items():
        if view.results.find(learner, SOFTWARE, "in_range"):
            _, n_chips, n_tasks, _ = points[0][1].error.shape
            level = view.block(learner, memory=SOFTWARE).part(n_chips, n_tasks).error[..., -1].mean()
            axes.axhline(level, color=look(learner).colour, linestyle=":", linewidth=1.2)


def _levels(view: View, axes: Axes, n_tasks: int) -> None:
    """Mark what controllers reach that no chip carries."""
    for learner in ("nominal", "oracle"):
        if view.results.find(learner, band="in_range"):
            level = view.block(learner).part(1, n_tasks).error[..., -1].mean()
            axes.axhline(level, color=look(learner).colour, linestyle=":", linewidth=1.2)
            axes.annotate(
                look(learner).name, (0.01, level), xycoords=("axes fraction", "data"), xytext=(0, 3),
                textcoords="offset points", color=look(learner).colour, fontsize=9,
            )  # fmt: skip


def _without_converters_last(series: dict[str, Points]) -> dict[str, Points]:
    """Return the series with 0 bits, no converters, as the finest."""
    return {
        learner: sorted(((bits or NO_CONVERTERS, block) for bits, block in points), key=lambda point: point[0])
        for learner, points in series.items()
    }


def _ticks(axes: Axes, name: str, values: list[float]) -> None:
    if name == "noise":
        axes.set_xticks(values, [f"{value:g}" for value in values])
    else:
        axes.set_xticks([value or NO_CONVERTERS for value in values], [f"{v:g}" if v else "none" for v in values])


def _finish(axes: Axes, view: View, labels: list[Label]) -> None:
    error_axis(axes, "y", log=not view.reach)
    first = axes.figure.axes[0]
    for panel in axes.figure.axes:
        grid(panel)
        inner = panel.get_position().x0 > first.get_position().x0 + 0.01
        if inner and panel.get_shared_y_axes().joined(panel, first):
            panel.tick_params(labelleft=False)
    name_ends(axes, labels)


def _ends(series: dict[str, Points]) -> list[Label]:
    values = {learner: points[-1][1].error[..., -1].mean() for learner, points in series.items()}
    return [Label(look(who).name, value, look(who).colour, who in OURS) for who, value in values.items()]


def _time(seconds: float) -> str:
    return TIMES.get(int(seconds), f"{seconds:g} s")


def _parameter(name: str) -> str:
    """Return an axis label: "payload_kg" is payload [kg]."""
    units: dict[str, Any] = {"kg": "kg", "nms": "N m s", "nm": "N m", "rad": "rad", "scale": "of nominal", "gain": ""}
    if name in WIRING:
        return WIRING[name][0]
    words = FRICTION.get(name, name).split("_")
    if words[-1] == "steps":
        return f"{' '.join(words[:-1])} [control steps]"
    if words[-1] not in units:
        return name.replace("_", " ")
    return f"{' '.join(words[:-1] if words[-1] != 'gain' else words)} [{units[words[-1]] or 'of nominal'}]"
