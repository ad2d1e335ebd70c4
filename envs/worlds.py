"""The worlds that an arm can live in: what both environments ask of one, and which there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .models import ArmCfg, arm_cfg
from .reaching import Reaching, reaching_arm
from .tasks import Task
from .tracking import Tracking

Array = NDArray[Any]
WORLDS = ("track", "reach")


class World(Protocol):
    """Goals, sensors and scores of n arms."""

    low: Array
    high: Array
    error: str

    def begin(
        self, ids: Array, generators: Sequence[np.random.Generator], tasks: Sequence[Task]
    ) -> tuple[Array, Array]:
        """Begin episodes on some arms; return the positions and velocities (n, J) they start with."""
        ...

    def observe(self, q_rad: Array, qd_rad_s: Array) -> Array:
        """Return the observations of all arms."""
        ...

    def unpack(self, obs: Any) -> Any:
        """Return the parts of observations by name."""
        ...

    def advance(self, q_rad: Array, action: Array) -> tuple[Array, dict[str, Array]]:
        """Count one control step; return the rewards and what info shows."""
        ...

    @property
    def done(self) -> Array:
        """Which episodes have run their time."""
        ...

    def summary(self) -> dict[str, Any]:
        """Return the scores of finished episodes."""
        ...

    def marks(self) -> dict[str, Any]:
        """Return what a picture of the first arm shows beside the arm: arguments of Renderer.render."""
        ...


def arm_in(world: str, arm: str, wiring: bool | None) -> tuple[ArmCfg, ArmCfg]:
    """Return an arm as the world has it, and as drawn bodies vary it.

    Args:
        world: Which world.
        arm: Which arm.
        wiring: Whether drawn bodies may have miswired motors; None: as the world has it.

    Raises:
        ValueError: No such world or arm, or miswired motors in a world without.
    """
    if world not in WORLDS:
        raise ValueError(f"unknown world {world!r}; choose from {list(WORLDS)}")
    if world == "track":
        if wiring:
            raise ValueError(f"wiring={wiring!r}: no motor is miswired in tracking; choose from [None, False]")
        return arm_cfg(arm), arm_cfg(arm)
    return reaching_arm(arm_cfg(arm)), reaching_arm(arm_cfg(arm), wired=wiring is not False)


def make_world(world: str, arm: ArmCfg, n_arms: int) -> World:
    """Return the world of that name for n arms."""
    return Tracking(arm, n_arms) if world == "track" else Reaching(arm, n_arms)
