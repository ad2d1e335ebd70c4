"""How late a body acts, and what follows: lessons shifted in time, places looked ahead to, commands not yet done.

A body's answer to a command is a change of velocity that correlates with it, whichever joint it moves and which way:
the sum of squared correlations over joints and commands needs no wiring and peaks at the body's lateness. Where it is
known, a command is judged by the transition in which it acted, and the policy acts on where the arm will be then. The
answers at that lag say what each motor moves: lessons are told them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

SMALL_ANSWER = 0.05  # norm of correlations below which they say little


def late_steps(correlation: Tensor) -> Tensor:
    """Return by how many steps bodies answer late, (N,) int: the lag of the largest sum of squares; 0 before an answer.

    Args:
        correlation: (N, 2, lags, J joints, J commands), the oldest lag first.
    """
    energy = correlation.square().sum(dim=(1, 3, 4)).flip(1)
    return energy.argmax(dim=1)


def answers_at(correlation: Tensor, late: Tensor) -> Tensor:
    """Return how joints answer commands at the bodies' lateness, (N, 2 J kinds and joints, J commands).

    Both kinds, commands in whole and their random part, have a norm of nearly sqrt(J), and 0 before an answer.

    Args:
        correlation: (N, 2, lags, J joints, J commands), the oldest lag first.
        late: (N,).
    """
    n_lags, n_joints = correlation.shape[2:4]
    found = correlation[torch.arange(len(late)), :, n_lags - 1 - late]
    size = found.square().sum(dim=(2, 3), keepdim=True).add(1e-8).sqrt() + SMALL_ANSWER
    return (math.sqrt(n_joints) * found / size).flatten(1, 2)


def aligned(series: Tensor, late: Tensor) -> tuple[Tensor, Tensor]:
    """Return what came `late` steps after each step, (N, T, n), and whether the episode still ran then, (N, T, 1).

    Args:
        series: (N, T, n).
        late: (N,).
    """
    n_steps = series.shape[1]
    when = torch.arange(n_steps) + late[:, None]
    there = when.clamp(max=n_steps - 1)[..., None].expand(series.shape)
    return series.gather(1, there), (when < n_steps)[..., None].to(series.dtype)


def pending(late: Tensor, steps: int, n_joints: int) -> Tensor:
    """Return which echoes are of commands not yet done, (N, 1, J * steps): those of 1 to `late` steps before."""
    back = torch.arange(steps, 0, -1)
    return (back <= late[:, None]).float()[:, None].repeat(1, 1, n_joints)


def led(seen: Any, before: Any, late: Tensor) -> Any:
    """Return what was seen with angles and tip where they will be `late` steps on if they go on as in the last step.

    Args:
        seen: The observation's parts by name, (N, 1, ...).
        before: Those of the step before.
        late: (N,).
    """
    ahead = late[:, None, None].to(seen.q_rad.dtype)
    q_rad = seen.q_rad + ahead * (seen.q_rad - before.q_rad)
    return seen._replace(q_rad=q_rad, tip_m=seen.tip_m + ahead * (seen.tip_m - before.tip_m))
