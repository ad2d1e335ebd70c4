"""Reaching seen from close by: the first episodes of bodies under a learner, and what lessons between them wrote."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from .chip import ChipCfg
from .episodes import Array, Episode
from .evaluation import Arena
from .learners import checkpoint_path, find_learner
from .seats import Seat
from .suite_cell import Watched


class Life(NamedTuple):
    """What a learner did on all bodies and chips."""

    learner: str
    memory: str
    tip_m: (
        Array  # (chips, tasks, episodes): how far the tip was from its goal, the mean of an episode's last half second
    )
    devices_written: Array  # the same shape: by the lesson before the episode
    episodes: list[Episode]  # of all arms, chip-major

    def arm(self, body: int) -> list[Episode]:
        """Return one body's episodes on the first chip, one arm each: observations (T + 1, n_obs)."""
        return [Episode(*(field[body] for field in episode)) for episode in self.episodes]


def live(arena: Arena, learner: str, chip: ChipCfg, checkpoint: Path | None = None) -> Life:
    """Put a learner of the registry on its memory and run it through its lessons.

    Args:
        arena: Bodies, goals and starts.
        learner: Name in LEARNERS.
        chip: What it lives on; one that is software alone lives in software.
        checkpoint: Its checkpoint; None: the shipped one of the first meta-seed, where it has any.

    Raises:
        ValueError: The learner is unknown, does not run on this world, or has no checkpoint there.
    """
    entry, cfg = find_learner(learner), arena.cfg
    if cfg.env not in entry.envs:
        raise ValueError(f"learner {learner!r} runs on {list(entry.envs)}, not on {cfg.env!r}")
    own = chip if entry.chips else ChipCfg(memory="float")
    n_chips = 1 if own.memory == "float" else cfg.chips
    path = checkpoint or checkpoint_path(learner, cfg.env, 0)
    bodies = list(arena.tasks) * n_chips
    player = entry.build(Seat(cfg.env, arena.world(n_chips), bodies, n_chips, cfg.tasks, own, cfg.seed, path))
    watched = Watched(player.controller, player, cfg.lessons, 0.0)
    errors, episodes = arena.run(watched, f"{learner} on {own.memory}", n_chips)
    nothing = np.zeros(n_chips * cfg.tasks)
    devices = [nothing, *(nothing if cost is None else cost.devices for cost in watched.costs)]
    return Life(learner, own.memory, errors, np.stack(devices, axis=-1).reshape(errors.shape), episodes)


def typical(life: Life) -> int:
    """Return the body of the median error after the last lesson, on the first chip: half of them end nearer."""
    last = life.tip_m[0, :, -1]
    return int(np.argsort(last)[(len(last) - 1) // 2])
