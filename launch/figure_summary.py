"""The table of a table: one line for each learner, memory and band, in markdown."""

from __future__ import annotations

from collections.abc import Iterable

from agents.budgets import budgets
from agents.results import Block
from agents.scores import Spread, devices_per_life, iqm_error, mean_error, score, worst
from launch.figure_style import LOOKS, MissingError, look
from launch.figure_view import FIXED, View, counts

HEAD = (
    "learner", "memory", "band", "runs", "environment steps", "before", "mean error (95 %)", "IQM (95 %)",
    "worst tenth", "score (95 %)", "devices a lesson", "energy a lesson, uJ",
)  # fmt: skip


def summary(view: View) -> str:
    """Return the figures of every block: errors in the first and the last episode, with their spread."""
    known = [*LOOKS, *sorted({key.learner for key in view.results.keys} - set(LOOKS))]
    bands = list(dict.fromkeys(key.band for key in view.results.keys))
    keys = sorted(view.results.keys, key=lambda key: (bands.index(key.band), known.index(key.learner), key.memory))
    steps = budgets(view.env)
    lines = [_row(HEAD), _row(["---"] * len(HEAD))]
    lines += [_line(view, view.results.block(key), steps) for key in keys]
    lines += ["", f"Errors in {view.unit}, of the last episode; intervals over meta-seeds, chips and bodies."]
    return "\n".join(lines) + "\n"


def _line(view: View, block: Block, steps: dict[str, str]) -> str:
    last = block.at(-1)
    mean, middle = mean_error(last), iqm_error(last)
    lessons = max(block.episodes - 1, 1)
    budget = "none" if block.key.learner in FIXED else steps.get(block.key.learner, "")
    cells = [look(block.key.learner).name, block.key.memory, block.key.band, counts(block), budget]
    cells += [
        f"{block.error[..., 0].mean():.3f}",
        *(_with_interval(part) for part in (mean, middle)),
        f"{worst(last)[0]:.3f}",
    ]
    cells += [_score(view, last), f"{devices_per_life(block)[-1] / lessons:,.0f}"]
    return _row([*cells, f"{block.energy_j[..., 1:].mean() * 1e6 if block.episodes > 1 else 0.0:.1f}"])


def _score(view: View, block: Block) -> str:
    try:
        return _with_interval(score(block, view.ends(block.key.band)))
    except (MissingError, ValueError):  # the ends of the scale met other bodies, or are not in the table
        return ""


def _with_interval(spread: Spread) -> str:
    value, low, high = (part[-1] for part in spread)
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
