"""Figures that set learners side by side: cost, bands of bodies, performance profiles, probability of improvement."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from agents.comparison import Improvement as Interval
from agents.comparison import improvement, profile
from agents.results import Block
from agents.scores import SEED, Spread, boot_of, devices_per_life, mean_error, score
from launch.figure_style import (
    INK,
    OURS,
    SOFT,
    Drawn,
    Label,
    MissingError,
    error_axis,
    grid,
    log_axis,
    look,
    name_ends,
    new_figure,
    note,
    order_of,
)
from launch.figure_view import BANDS, View, counts, seeds_note

BAND_NAMES = {"in_range": "in range", "mild": "mild", "hard": "hard"}


def pareto(view: View) -> Drawn:
    """Draw errors against the devices that the lessons have written by then."""
    found = dict(view.blocks())
    written = {who: block for who, block in found.items() if devices_per_life(block)[-1] > 0}
    if not written:
        raise MissingError("no learner in range wrote a device")
    figure = new_figure(10.0, 4.6)
    none = figure.add_axes((0.075, 0.125, 0.2, 0.8))
    axes = figure.add_axes((0.36, 0.125, 0.42, 0.8), sharey=none)
    for learner, block in written.items():
        x, errors = devices_per_life(block)[1:], mean_error(block)
        _path(axes, x, Spread(*(part[1:] for part in errors)), learner)
    still = {who: block for who, block in found.items() if who not in written}
    for learner, block in still.items():
        _dot(none, 0.0, mean_error(block.at(-1)), learner)
    for panel in (none, axes):
        error_axis(panel, "y", log=not view.reach)
        grid(panel)
    none.set_ylabel(view.error_label)
    none.set_xlim(-0.3, 0.7)
    none.set_xticks([0.0], ["none"])
    axes.set_xscale("log")
    least, most = axes.get_xlim()
    log_axis(axes.xaxis, (1.0, 2.0, 5.0) if most < 20 * least else (1.0,))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlabel("physical devices written, from the first lesson to the last")
    axes.tick_params(labelleft=False)
    ends = {
        who: Label(look(who).name, b.error[..., -1].mean(), look(who).colour, who in OURS) for who, b in found.items()
    }
    name_ends(none, [ends[who] for who in still], x=0.42)
    axes.margins(x=0.1)
    name_ends(axes, [ends[who] for who in written], x=[devices_per_life(block)[-1] for block in written.values()])
    ours = found[view.lead()]
    caption = (
        f"{view.env}, in range: mean error after each lesson against the devices pulsed up to it, a device once for "
        f"each lesson that pulsed it; left: the last episode of what writes nothing. 95 % intervals, {counts(ours)}. "
        "Not counted: programming the network once. "
    )
    return Drawn("pareto", figure, caption + seeds_note(list(found.values())))


def bands(view: View) -> Drawn:
    """Draw errors after the last lesson in range, mild and hard, with the scores where there is a scale."""
    present = [band for band in BANDS if view.results.find(band=band)]
    if len(present) < 2:
        raise MissingError(f"rows of one band only, {present}; needs two of {list(BANDS)}")
    found = {band: dict(view.blocks(band)) for band in present}
    first = {who: block.error[..., -1].mean() for who, block in found[present[0]].items()}
    names = list(dict.fromkeys(who for band in present for who in found[band]))
    names.sort(key=lambda who: -first.get(who, 0.0))
    height = 1.2 + 0.33 * len(names)
    figure = new_figure(11.0, height)
    panels = figure.subplots(1, len(present), sharey=True, sharex=True, squeeze=False)[0]
    figure.subplots_adjust(left=0.18, right=0.93, bottom=0.62 / height, top=1.0 - 0.4 / height, wspace=0.24)
    for axes, band in zip(panels, present, strict=True):
        axes.set_title(BAND_NAMES[band])
        _frame(axes, names)
        for place, learner in enumerate(names):
            if learner in found[band]:
                _interval(axes, place, _last(mean_error(found[band][learner].at(-1))), learner)
                _beside(axes, place, _score(view, found[band][learner]))
        note(axes, "m" if view.reach else "score", (1.02, 1.015))
    for axes in panels:  # their limits are common: all must be drawn
        error_axis(axes, "x", log=not view.reach, subs=(1.0, 3.0))
    panels[len(panels) // 2].set_xlabel(view.error_label)
    blocks = [block for band in present for block in found[band].values()]
    numbers = "" if view.reach else " Numbers: normalized score of the means (0 nominal, 1 oracle)."
    soft = [
        f"{who} in {BAND_NAMES[band]}"
        for band in present
        for who, block in found[band].items()
        if _left_out(view, block)
    ]
    numbers += f" In software for want of rows on {view.memory}: {', '.join(soft)}." if soft else ""
    caption = (
        f"{view.env}: bodies in the range of meta-training, and mildly and far beyond it in one parameter; mean error "
        f"and 95 % interval after the last lesson, {counts(found[present[0]][view.lead(present[0])])}.{numbers} "
    )
    return Drawn("bands", figure, caption + seeds_note(blocks))


def profiles(view: View) -> Drawn:
    """Draw the share of runs whose error after the last lesson is at most x."""
    found = dict(view.blocks())
    every = np.concatenate([block.error[..., -1].ravel() for block in found.values()])
    thresholds = np.geomspace(max(np.quantile(every, 0.002), 1e-4), every.max(), 90)
    figure = new_figure(8.6, 4.4)
    axes = figure.add_axes((0.075, 0.125, 0.65, 0.85))
    for learner, block in found.items():
        style, curve = look(learner), profile(block.error[..., -1], thresholds, boot_of(block))
        axes.plot(curve.threshold, curve.share, color=style.colour, linewidth=style.width, zorder=order_of(learner))
        if learner in OURS:
            axes.fill_between(curve.threshold, curve.low, curve.high, color=style.colour, alpha=0.2, linewidth=0)
        axes.plot(
            np.median(block.error[..., -1]), 0.5, style.marker, color=style.colour, markersize=6, zorder=7
        )  # fmt: skip
    axes.set_xscale("log")
    log_axis(axes.xaxis)
    axes.set_ylim(0.0, 1.005)
    axes.set_xlabel(view.error_label)
    axes.set_ylabel("share of runs with at most this error")
    grid(axes, "both")
    _legend(axes, sorted(found, key=lambda who: float(np.median(found[who].error[..., -1]))))
    ours = found[view.lead()]
    caption = (
        f"{view.env}, in range, after the last lesson: performance profiles over runs (body by chip by meta-seed), the "
        f"marker at the median, names by rising median; the band of 95 % is ours', {counts(ours)}. "
    )
    return Drawn("profiles", figure, caption + seeds_note(list(found.values())))


def improvements(view: View) -> Drawn:
    """Draw how probable it is that ours has the smaller error than each other learner."""
    ours = view.ours()
    block = view.block(ours)
    others = {who: other for who, other in view.blocks() if who != ours}
    if not others:
        raise MissingError(f"{ours} is alone in range")
    found = {who: improvement(block.error[..., -1], other.error[..., -1], SEED) for who, other in others.items()}
    names = sorted(found, key=lambda who: found[who].probability)
    height = 1.0 + 0.34 * len(names)
    figure = new_figure(7.4, height)
    axes = figure.add_axes((0.27, 0.6 / height, 0.7, 1.0 - 0.8 / height))
    for place, learner in enumerate(names):
        _interval(axes, place, found[learner], learner)
    axes.axvline(0.5, color=SOFT, linewidth=1.0, linestyle="--", zorder=1)
    _frame(axes, names)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel(f"probability that {look(ours).name} has the smaller error")
    caption = (
        f"{view.env}, in range, after the last lesson: probability that a run of {look(ours).name} on "
        f"{block.key.memory} has a smaller error than a run of the other on the same body, with its 95 % interval; "
        f"{counts(block)}. Right of the dashed line ours is the better one. "
    )
    return Drawn("improvement", figure, caption + seeds_note([block, *others.values()]))


def _left_out(view: View, block: Block) -> bool:
    """Return whether a learner that lies on the chip elsewhere is shown in software."""
    return block.key.memory != view.memory and bool(view.results.find(block.key.learner, view.memory))


def _last(found: Spread) -> Interval:
    return Interval(*(float(part[-1]) for part in found))


def _score(view: View, block: Block) -> str:
    """Return the score after the last lesson as it is written beside an interval; on Reach the error."""
    if view.reach:
        return f"{block.error[..., -1].mean():.3f}"
    try:
        return f"{score(block.at(-1), view.ends(block.key.band)).value[0]:.2f}"
    except MissingError:
        return ""


def _path(axes: Axes, x: np.ndarray, errors: Spread, learner: str) -> None:
    style, bars = look(learner), np.abs(np.stack([errors.low, errors.high]) - errors.value)
    axes.errorbar(
        x, errors.value, bars, color=style.colour, marker=style.marker, markersize=5, linewidth=style.width,
        elinewidth=0.9, zorder=order_of(learner),
    )  # fmt: skip


def _dot(axes: Axes, x: float, errors: Spread, learner: str) -> None:
    _path(axes, np.array([x]), Spread(*(part[-1:] for part in errors)), learner)


def _interval(axes: Axes, place: float, found: Interval, learner: str) -> None:
    style = look(learner)
    axes.plot([found.low, found.high], [place, place], color=style.colour, linewidth=2.0, solid_capstyle="butt")
    axes.plot(found.probability, place, style.marker, color=style.colour, markersize=7, clip_on=False)


def _beside(axes: Axes, place: float, text: str) -> None:
    at = ("axes fraction", "data")
    axes.annotate(text, (1.02, place), xycoords=at, color=SOFT, fontsize=9, va="center", annotation_clip=False)  # type: ignore[arg-type]


def _frame(axes: Axes, names: list[str]) -> None:
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.tick_params(axis="y", pad=9.0)
    axes.set_yticks(range(len(names)), [look(who).name for who in names])
    for tick, who in zip(axes.yaxis.get_major_ticks(), names, strict=False):
        tick.label1.set(color=INK, fontweight="bold" if who in OURS else "normal")
    grid(axes, "both")


def _legend(axes: Axes, names: list[str]) -> None:
    for row, who in enumerate(names):
        style, y = look(who), 0.96 - 0.072 * row
        axes.plot(
            [1.03, 1.085], [y, y], color=style.colour, linewidth=style.width, transform=axes.transAxes, clip_on=False
        )
        axes.plot(1.0575, y, style.marker, color=style.colour, markersize=6, transform=axes.transAxes, clip_on=False)
        weight = "bold" if who in OURS else "normal"
        axes.annotate(
            style.name, (1.1, y), xycoords="axes fraction", color=style.colour, va="center", fontweight=weight
        )
