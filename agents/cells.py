"""The unit of work of an evaluation suite: one learner, memory, band and meta-seed on one block of chips."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from .checks import check_at_least
from .episodes import check_family, check_seed
from .learners import checkpoint_path, find_learner
from .memories import parse_memory

BLOCK = 8
"""Chips in a block."""


@dataclass(frozen=True, order=True)
class Cell:
    """What is run at once, anywhere."""

    learner: str
    """Name in LEARNERS."""
    memory: str
    """Label that `parse_memory` reads."""
    band: str
    """Label of the bodies."""
    meta_seed: int = 0
    """Seed of the meta-training whose checkpoint is used; 0 where the learner has none."""
    block: int = 0
    """Which block of eight chips; 0 in software."""


@dataclass(frozen=True)
class SuiteCfg:
    """What all cells of a suite have in common."""

    env: str
    """Registered id of the family of tasks."""
    chips: int = 8
    """Chips, in blocks of eight."""
    tasks: int = 100
    """Held-out bodies of a band; every chip meets all of them."""
    lessons: int = 5
    """Lessons; there is one more episode than that."""
    seed: int = 0
    """Seed of bodies, references, starts, sensors and chips; 0 draws the published bodies."""
    checkpoints: Path | None = None
    """Folder of the checkpoints; None: the shipped ones, wherever they lie on the machine of a worker."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        check_family(self.env)
        check_at_least(1, self, "chips", "tasks", "lessons")
        check_seed(self.seed)

    @property
    def n_blocks(self) -> int:
        """Number of blocks of chips, the last of which may be smaller."""
        return -(-self.chips // BLOCK)


@dataclass(frozen=True)
class Order:
    """A cell of a suite: all that a worker must be told."""

    cfg: SuiteCfg
    cell: Cell

    @property
    def n_chips(self) -> int:
        """Chips of this cell; 1 in software."""
        if parse_memory(self.cell.memory).software:
            return 1
        return min(BLOCK, self.cfg.chips - BLOCK * self.cell.block)

    @property
    def chip_seed(self) -> int:
        """Seed of this block's chips: the suite's own for the first block, so that it is `evaluate`'s."""
        if self.cell.block == 0:
            return self.cfg.seed
        return int(np.random.SeedSequence([self.cfg.seed, self.cell.block]).generate_state(1)[0])

    @property
    def checkpoint(self) -> Path | None:
        """The learner's checkpoint; None: it has none."""
        cell = self.cell
        return checkpoint_path(cell.learner, self.cfg.env, cell.meta_seed, self.cfg.checkpoints)

    def checked(self) -> Order:
        """Return the order if it can be run.

        Raises:
            ValueError: A name is unknown, the learner does not run there, or a checkpoint is missing.
        """
        entry, memory = find_learner(self.cell.learner), parse_memory(self.cell.memory)
        if self.cfg.env not in entry.envs:
            raise ValueError(f"learner {self.cell.learner!r} runs on {list(entry.envs)}, not on {self.cfg.env!r}")
        if not memory.software and not entry.chips:
            raise ValueError(
                f"learner {self.cell.learner!r} is software alone: memory 'float', not {self.cell.memory!r}"
            )
        if not 0 <= self.cell.block < (1 if memory.software else self.cfg.n_blocks):
            raise ValueError(f"block {self.cell.block} of {self.cfg.chips} chips does not exist")
        _ = self.checkpoint
        return self

    def key(self) -> str:
        """Return a SHA-256 over everything that the results depend on, the checkpoint's bytes among it."""
        cfg = {name: value for name, value in asdict(self.cfg).items() if name not in ("checkpoints", "chips")}
        parts = {"cfg": cfg, "cell": asdict(self.cell), "chips": self.n_chips}
        total = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
        if self.checkpoint is not None:
            total.update(self.checkpoint.read_bytes())
        return total.hexdigest()
