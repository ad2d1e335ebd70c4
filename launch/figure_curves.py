"""Figures over the episodes of a life: adaptation to a body, and a body that changes and comes back."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from agents.forgetting import forgetting
from agents.midlife import LEGS
from agents.results import Block
from agents.scores import iqm_error, mean_error, score
from launch.figure_style import (
    GRID,
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
    note,
    order_of,
)
from launch.figure_view import MIDLIFE, SOFTWARE, View, counts, seeds_note, told_note


def adaptation(view: View) -> Drawn:
    """Draw errors, and on Track scores, after 0, 1, ... lessons in range."""
    found = dict(view.blocks())
    ours = view.lead()
    in_software = view.results.find(ours, SOFTWARE, "in_range") if found[ours].key.memory != SOFTWARE else []
    figure = new_figure(8.6 if view.reach else 11.4, 4.6)
    errors = figure.add_axes((0.085, 0.125, 0.62, 0.845) if view.reach else (0.475, 0.125, 0.325, 0.845))
    panels = [(errors, mean_error)]
    if not view.reach:
        ends = view.ends()
        panels.append((figure.add_axes((0.06, 0.125, 0.34, 0.845)), lambda block: score(block, ends)))
    for axes, of in panels:
        for learner, block in found.items():
            line(axes, np.arange(block.episodes), of(block), learner, order=order_of(learner))
        for key in in_software:
            block = view.results.block(key)
            line(axes, np.arange(block.episodes), of(block), ours, software=True, order=5.0)
        axes.set_xlabel("lessons")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        grid(axes)
    _errors_axis(errors, view)
    if len(panels) > 1:
        panels[1][0].set_ylabel("normalized score (0 nominal, 1 oracle)")
        panels[1][0].set_ylim(-0.15, 1.04)
    labels = [_end(learner, block) for learner, block in found.items()]
    labels += [_end(ours, view.results.block(key), "in software") for key in in_software]
    name_ends(errors, labels)
    return Drawn("adaptation", figure, _adaptation_caption(view, found, bool(in_software)))


def _errors_axis(axes: Axes, view: View) -> None:
    error_axis(axes, "y", log=not view.reach)
    axes.set_ylabel(view.error_label)


def _end(learner: str, block: Block, name: str = "") -> Label:
    value = block.error[..., -1].mean()
    return Label(
        f"{name or look(learner).name}  {value:.3f}", value, look(learner).colour, learner in OURS and not name
    )


def _adaptation_caption(view: View, found: dict[str, Block], in_software: bool) -> str:
    ours = found[view.lead()]
    said = [
        f"{view.env}, in range: mean error of the episode after each lesson with its 95 % interval, "
        f"{counts(ours)}; numbers are the last episode's.",
        f"{look(ours.key.learner).name} lies on {ours.key.memory}"
        + ("; dashed: the same in software." if in_software else "."),
    ]
    elsewhere = [who for who, block in found.items() if block.key.memory == SOFTWARE and who != view.lead()]
    if elsewhere:
        said.append(f"In software: {', '.join(elsewhere)}.")
    said.append(told_note(found).strip())
    if not view.reach:
        said.append("Scores below -.15 are cut off.")
    return " ".join([*filter(None, said), seeds_note(list(found.values()))])


def midlife(view: View) -> Drawn:
    """Draw errors through a life whose body changes to another and back."""
    found = {who: block for who, block in view.blocks(MIDLIFE) if block.episodes % LEGS == 0}
    if not found:
        raise MissingError(f"no rows of band {MIDLIFE} with {LEGS} equal legs")
    length = next(iter(found.values())).episodes // LEGS
    figure = new_figure(10.0, 4.4)
    axes = figure.add_axes((0.075, 0.125, 0.67, 0.79))
    for learner, block in found.items():
        errors = mean_error(block)
        for leg in range(LEGS):  # no line leads from one body to the next
            part = slice(leg * length, (leg + 1) * length)
            line(axes, np.arange(part.start, part.stop), _cut(errors, part), learner, order=order_of(learner))
    middles = {who: iqm_error(found[who]) for who in OURS if who in found}
    for learner, middle in middles.items():
        for leg in range(LEGS):
            part = slice(leg * length, (leg + 1) * length)
            axes.plot(
                np.arange(part.start, part.stop), middle.value[part], ":", color=look(learner).colour, linewidth=1.6,
                zorder=7,
            )  # fmt: skip
    _errors_axis(axes, view)
    axes.set_xlabel("episode (a lesson after each)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.axvspan(length - 0.5, 2 * length - 0.5, color=GRID, alpha=0.45, linewidth=0, zorder=0)
    for leg, name in enumerate(("body A", "body B", "body A again")):
        note(axes, name, ((leg + 0.5) / LEGS, 1.02), ha="center")
    axes.set_xlim(-0.5, LEGS * length - 0.5)
    grid(axes)
    labels = [_end(learner, block) for learner, block in found.items()]
    labels += [
        Label(f"its middle half  {middle.value[-1]:.3f}", middle.value[-1], look(who).colour)
        for who, middle in middles.items()
    ]
    name_ends(axes, labels)
    return Drawn("midlife", figure, _midlife_caption(view, found, length))


def _lost(found: dict[str, Block]) -> str:
    """Return for every learner that gains on A what a stay in B takes, and when it is made up for."""
    lines = []
    for learner, block in found.items():
        first, learned = block.error[..., 0].mean(), block.error[..., block.episodes // LEGS - 1].mean()
        if learned > 0.8 * first:
            continue
        lost = forgetting(block)
        back = "not made up for" if lost.lessons is None else f"made up for by lesson {lost.lessons}"
        lines.append(f"{look(learner).name} {lost.share:.0%} ({lost.low:.0%} to {lost.high:.0%}), {back}")
    if not lines:
        return ""
    return (
        "Back in A, how much of the gain there is lost (over 100 %: worse than before any lesson), and after how many "
        f"lessons the error is within 10 % of what it had been: {'; '.join(lines)}."
    )


def _cut(errors: object, part: slice) -> object:
    return type(errors)(*(each[part] for each in errors))  # type: ignore[call-arg, attr-defined]


def _midlife_caption(view: View, found: dict[str, Block], length: int) -> str:
    said = [
        f"{view.env}, in range: a body changes after {length} episodes to another one and after {length} more back; "
        "nobody tells the controllers (the oracle is told), lessons go on. Mean error with its 95 % interval.",
    ]
    if any(who in OURS for who in found):
        said.append("Dotted: the interquartile mean of ours, without the arms that go astray.")
    if "reward" in found:
        said.append("From reward explores before the last episode of its first leg alone, as in its meta-training.")
    said.append(_lost(found))
    said.append(f"{counts(found[view.lead(MIDLIFE)])}." if any(who in found for who in OURS) else "")
    return " ".join([part for part in said if part] + [seeds_note(list(found.values()))])
