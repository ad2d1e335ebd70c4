"""What steps many arms: MuJoCo on native threads, or, as an extra, MuJoCo XLA (MJX)."""

from __future__ import annotations

from typing import Any, Literal, get_args

import mujoco
from mujoco.batch import Batch

from .mjx import MjxBatch

Physics = Literal["batch", "mjx"]


def make_physics(physics: Physics, model: mujoco.MjModel, n_arms: int, nthread: int) -> Any:
    """Return a mujoco.batch.Batch of n arms, or what has the same calls and steps them otherwise.

    Args:
        physics: Which; "batch" is what the other is measured by.
        model: The nominal arm.
        n_arms: Number of arms.
        nthread: Native threads; XLA takes its own.

    Raises:
        ValueError: There is no such physics.
        ImportError: The extra is not installed.
    """
    if physics not in get_args(Physics):
        raise ValueError(f"unknown physics {physics!r}; choose from {list(get_args(Physics))}")
    if physics == "batch":
        return Batch(model, n_arms, nthread)
    return MjxBatch(model, n_arms, nthread)
