"""What is left of a first body after a stay in another one, and how fast it is learned again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .midlife import LEGS
from .results import Block
from .scores import boot_of
from .statistics import percentile_interval

BACK = 1.1
"""Learned again: the error is at most this times what it was at the end of the first stay."""


class Forgetting(NamedTuple):
    """How a life A, B, A went."""

    share: float  # of the error that the first stay in A had taken away, what is back on return
    low: float  # its 95 % interval
    high: float
    lessons: int | None  # lessons back in A until the error is BACK to where it was; None: not within the stay


def forgetting(block: Block) -> Forgetting:
    """Return what a life of three equal legs forgot.

    The share is (again - learned) / (first - learned) of the mean errors in the first episode back in A, in the last
    of the first stay, and in the very first.

    Raises:
        ValueError: The episodes are not three equal legs of at least two.
    """
    if block.episodes % LEGS or block.episodes < 2 * LEGS:
        raise ValueError(f"{block.key}: {block.episodes} episodes are not {LEGS} equal legs of at least 2")
    length, boot = block.episodes // LEGS, boot_of(block)
    at = (0, length - 1, 2 * length)
    first, learned, again = (block.error[..., k].mean() for k in at)
    firsts, learneds, agains = (boot.means(block.error[..., k]) for k in at)
    interval = percentile_interval((agains - learneds) / (firsts - learneds))
    back = np.flatnonzero(block.error[..., 2 * length :].mean(axis=(0, 1, 2)) <= BACK * learned)
    return Forgetting((again - learned) / (first - learned), *interval, int(back[0]) if len(back) else None)
