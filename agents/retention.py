"""How long a lesson lasts: the adapted policy after a rest, with drift compensation and without."""

from __future__ import annotations

from typing import Any

from .chip import ChipSubstrate
from .evaluation import Arena, Shipped, place
from .policy import DeltaPolicy

FRESH = 500_009
"""Offset of the seeds, so that the references are new to the policy and the same for every row."""


def retention(arena: Arena, shipped: Shipped, adapted: ChipSubstrate, age_s: float) -> dict[str, Any]:
    """Return errors before any write, after the lessons, and after a rest of the whole policy.

    The advantage that is left is (before - rested) / (before - after), all on the same bodies and references.

    Args:
        arena: Bodies and references.
        shipped: The learner.
        adapted: Its chips after the last lesson; they are left as they were.
        age_s: Length of the rest, s.
    """
    state = adapted.state()
    errors = {}
    untouched, n_chips = place(arena, shipped)
    errors["before"] = _error(arena, shipped, untouched, n_chips, "before any lesson")
    errors["after"] = _error(arena, shipped, adapted, n_chips, "after the lessons")
    for name, calibrate in (("rested", True), ("rested_uncompensated", False)):
        adapted.restore(state)
        adapted.advance(age_s, calibrate=calibrate)
        errors[name] = _error(arena, shipped, adapted, n_chips, f"{name.replace('_', ', ')}")
    adapted.restore(state)
    gain = errors["before"] - errors["after"]
    left = {
        f"advantage_left_{name}": (errors["before"] - errors[name]) / gain
        for name in ("rested", "rested_uncompensated")
    }
    return {"age_s": age_s, **{f"{name}_rmse_rad": value for name, value in errors.items()}, **left}


def _error(arena: Arena, shipped: Shipped, substrate: Any, n_chips: int, name: str) -> float:
    """Return the mean error of one episode in which nothing is written."""
    policy = DeltaPolicy(shipped.learner, substrate, arena.world(1).unwrapped.arm_cfg, plastic=False)
    errors, _ = arena.run(policy, name, n_chips, n_episodes=1, offset=FRESH)
    return float(errors.mean())
