"""One evaluation seen from close by: every lesson's cost, and one arm before and after on the same reference."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from .bill import Bill
from .chip import ChipSubstrate
from .episodes import Array, Episode
from .evaluation import Arena, Baselines, Shipped, Trial, place, run_baselines, run_policy
from .policy import DeltaPolicy
from .retention import FRESH


class Showcase(NamedTuple):
    """What the demo and the videos are made of."""

    trial: Trial
    bases: Baselines
    software: Trial
    still: Trial
    body: int  # number of the body shown
    task: Any
    before: Episode  # that body on chip 0 before any lesson, one arm (T + 1, n_obs)
    after: Episode  # the same body, chip and reference after the lessons
    head_before_us: Array  # (J, D) differential conductance of the first slice of the head
    head_after_us: Array
    programming: Bill  # of the whole chip, per chip and task


def run_showcase(arena: Arena, shipped: Shipped, body: int | None = None, quantile: float = 0.75) -> Showcase:
    """Run the lessons on every chip and body, then choose a body and run it before and after on one new reference.

    Args:
        arena: Bodies and references.
        shipped: The learner.
        body: Number of the body to show; None: the one at `quantile` of the error before any lesson.
        quantile: See `body`.
    """
    bases = run_baselines(arena)
    untouched, n_chips = place(arena, shipped)
    adapted, _ = place(arena, shipped)
    programming = adapted.bill()
    before_us = head_us(adapted)
    trial = run_policy(arena, shipped, adapted, n_chips, "policy on the chip")
    software = run_policy(arena, shipped, *place(arena, shipped, software=True), "policy in software")
    still = run_policy(arena, shipped, *place(arena, shipped), "never written", plastic=False)
    first = one_episode(arena, shipped, untouched, n_chips)
    last = one_episode(arena, shipped, adapted, n_chips)
    errors = first.rmse_rad[: arena.cfg.tasks]
    index = int(np.argsort(errors)[int(quantile * (len(errors) - 1))]) if body is None else body
    return Showcase(
        trial=trial,
        bases=bases,
        software=software,
        still=still,
        body=index,
        task=arena.tasks[index],
        before=Episode(*(field[index] for field in first)),
        after=Episode(*(field[index] for field in last)),
        head_before_us=before_us[index],
        head_after_us=head_us(adapted)[index],
        programming=programming,
    )


def one_episode(arena: Arena, shipped: Shipped, substrate: Any, n_chips: int) -> Episode:
    """Run one episode on a new reference, the same for every caller, and write nothing."""
    policy = DeltaPolicy(shipped.learner, substrate, arena.world(1).unwrapped.arm_cfg, plastic=False)
    _, episodes = arena.run(policy, "a new reference", n_chips, n_episodes=1, offset=FRESH)
    return episodes[0]


@torch.no_grad()
def head_us(substrate: Any) -> Array:
    """Return what the head's devices hold, (N, J, D) uS: positive less negative conductance.

    Slices are added to scale; rows that hold the same weight are averaged.
    """
    if not isinstance(substrate, ChipSubstrate):
        return substrate.weights.numpy().copy()
    array = substrate.head_array
    pairs = array.conductances_us()  # (N, slices, 2, J, D)
    difference = pairs[:, :, 0] - pairs[:, :, 1]
    scale = torch.tensor([1.0, 1.0 / array.cfg.slice_ratio])[: difference.shape[1]]
    rows = (difference * scale[:, None, None]).sum(1)  # (N, J, rows_per_weight x D)
    return rows.unflatten(-1, (array.cfg.rows_per_weight, -1)).mean(-2).numpy()
