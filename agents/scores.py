"""What a block of results comes to, episode by episode: errors and normalized scores with their spread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .results import Block
from .statistics import Array, NestedBootstrap, iqm, percentile_interval, worst_tenth

SEED = 0
"""Of the resamples: the same table gives the same figures."""


class Spread(NamedTuple):
    """A figure per episode with its 95 % interval, all (episodes,)."""

    value: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Ends:
    """The ends of the scale in one band, errors (1, 1, tasks, episodes) or with axes of their own."""

    nominal: Block
    """Score 0: the controller that holds the arm for the nominal one."""
    oracle: Block
    """Score 1: the controller that is told the body."""


def boot_of(block: Block) -> NestedBootstrap:
    """Return the bootstrap of a block's axes."""
    n_meta_seeds, n_chips, n_tasks, _ = block.error.shape
    return NestedBootstrap(n_chips, n_tasks, SEED, n_meta_seeds=n_meta_seeds)


def mean_error(block: Block) -> Spread:
    """Return the mean error of each episode."""
    return _spread(block, lambda k, boot: (block.error[..., k].mean(), boot.means(block.error[..., k])))


def iqm_error(block: Block) -> Spread:
    """Return the interquartile mean of each episode's errors."""
    return _spread(block, lambda k, boot: (iqm(block.error[..., k]), boot.iqms(block.error[..., k])))


def worst(block: Block) -> Array:
    """Return the mean of the worst tenth of each episode's errors, (episodes,)."""
    return np.array([worst_tenth(block.error[..., k]) for k in range(block.episodes)])


def score(block: Block, ends: Ends) -> Spread:
    """Return the normalized score (nominal - error) / (nominal - oracle) of the mean errors of each episode.

    Nominal and oracle meet the same tasks and are resampled with them; where they met more, the first count: those are
    what a draw of fewer gives.

    Raises:
        ValueError: They met fewer tasks or other episodes.
    """
    n_tasks = block.error.shape[2]
    zero, one = (each.part(1, n_tasks).error for each in (ends.nominal, ends.oracle))
    for end in (ends.nominal, ends.oracle):
        if end.error.shape[2] < block.error.shape[2] or not set(block.numbers) <= set(end.numbers):
            has, wants = ((each.error.shape[2], each.numbers) for each in (end, block))
            raise ValueError(
                f"{block.key} is of {wants[0]} tasks and episodes {wants[1]}, its scale of {has[0]}, {has[1]}"
            )

    def of(k: int, boot: NestedBootstrap) -> tuple[float, Array]:
        at = [each.numbers.index(block.numbers[k]) for each in (ends.nominal, ends.oracle)]
        zeros, ones = (end[:1, ..., there] for end, there in zip((zero, one), at, strict=True))
        value = (zeros.mean() - block.error[..., k].mean()) / (zeros.mean() - ones.mean())
        top, span = boot.means(zeros) - boot.means(block.error[..., k]), boot.means(zeros) - boot.means(ones)
        return value, top / span

    return _spread(block, of)


def devices_per_life(block: Block) -> Array:
    """Return the mean number of devices written up to each episode, (episodes,)."""
    return block.devices.mean(axis=(0, 1, 2)).cumsum()


def _spread(block: Block, of: Callable[[int, NestedBootstrap], tuple[float, Array]]) -> Spread:
    boot = boot_of(block)
    found = [of(k, boot) for k in range(block.episodes)]
    intervals = np.array([percentile_interval(resampled) for _, resampled in found])
    return Spread(np.array([value for value, _ in found]), intervals[:, 0], intervals[:, 1])
