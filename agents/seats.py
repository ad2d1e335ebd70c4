"""What a learner of the registry is given to be put to work, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .bill import Bill
from .chip import ChipCfg
from .episodes import Controller


class Seat(NamedTuple):
    """What a learner is given to be put to work: its arms are chip-major, the tasks of chip 0 first."""

    env_id: str
    world: Any  # vector environment of n_chips x n_tasks arms; the suite sets its bodies
    bodies: list[Any]  # the true bodies, one an arm: for oracles, and for those who say that they are told
    n_chips: int  # 1 in software
    n_tasks: int
    chip: ChipCfg  # memory "float" is software
    seed: int  # of these chips
    checkpoint: Path | None  # of this world and meta-seed; None: the learner has none

    @property
    def software(self) -> bool:
        """Whether there is no chip."""
        return self.chip.memory == "float"


class Player(NamedTuple):
    """A controller at work, the meter on its chips, and their clock."""

    controller: Controller
    bill: Callable[[], Bill] | None = None  # what was spent so far, per arm; None: nothing is billed
    rest: Callable[[float], None] | None = None  # lets its chips age by so many seconds, compensated for drift
