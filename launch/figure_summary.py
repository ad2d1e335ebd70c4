"""The table of a table: the figures of each learner, memory and band, as rows for programs and as markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agents.results import Block
from agents.scores import Spread, devices_per_life, iqm_error, mean_error, score, worst
from launch.figure_style import LOOKS, MissingError, look
from launch.figure_view import BANDS, FIXED, View, counts

HEAD = (
    "learner", "memory", "band", "runs", "environment steps", "before", "mean error (95 %)", "IQM (95 %)",
    "worst tenth", "score (95 %)", "devices a lesson", "energy a lesson, uJ",
)  # fmt: skip


def summary(view: View) -> list[dict[str, Any]]:
    """Return the figures of every block, of its last episode where they do not say otherwise."""
    known = [*LOOKS, *sorted({key.learner for key in view.results.keys} - set(LOOKS))]
    bands = list(dict.fromkeys([*BANDS, *(key.band for key in view.results.keys)]))
    keys = sorted(view.results.keys, key=lambda key: (bands.index(key.band), known.index(key.learner), key.memory))
    return [_row(view, view.results.block(key)) for key in keys]


def _row(view: View, block: Block) -> dict[str, Any]:
    last, lessons = block.at(-1), max(block.episodes - 1, 1)
    return {
        **block.key._asdict(),
        "runs": counts(block),
        "meta_seeds": list(block.meta_seeds),
        "env_steps": "none" if block.key.learner in FIXED else view.steps.get(block.key.learner, ""),
        "error_before": float(block.error[..., 0].mean()),
        "error": _numbers(mean_error(last)),
        "error_iqm": _numbers(iqm_error(last)),
        "error_worst_tenth": float(worst(last)[0]),
        "score": _score(view, last),
        "devices_a_lesson": float(devices_per_life(block)[-1] / lessons),
        "energy_a_lesson_j": float(block.energy_j.sum(axis=3).mean() / lessons),
    }


def _score(view: View, last: Block) -> list[float] | None:
    try:
        return _numbers(score(last, view.ends(last.key.band)))
    except (MissingError, ValueError):  # the ends of the scale met other bodies, or are not in the table
        return None


def _numbers(spread: Spread) -> list[float]:
    """Return value, lower and upper end of the last episode."""
    return [float(part[-1]) for part in spread]


def markdown(view: View, rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table for people."""
    lines = [_cells(HEAD), _cells(["---"] * len(HEAD)), *(_cells(_texts(row)) for row in rows)]
    lines += ["", f"Errors in {view.unit}, of the last episode; intervals over meta-seeds, chips and bodies."]
    return "\n".join(lines) + "\n"


def _texts(row: dict[str, Any]) -> list[str]:
    named = [look(row["learner"]).name, *(row[name] for name in ("memory", "band", "runs", "env_steps"))]
    errors = [f"{row['error_before']:.3f}", *(_interval(row[name]) for name in ("error", "error_iqm"))]
    cost = [f"{row['devices_a_lesson']:,.0f}", f"{row['energy_a_lesson_j'] * 1e6:.1f}"]
    return [*named, *errors, f"{row['error_worst_tenth']:.3f}", _interval(row["score"]), *cost]


def _interval(numbers: list[float] | None) -> str:
    return "" if numbers is None else "{:.3f} ({:.3f} to {:.3f})".format(*numbers)


def _cells(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
