"""Learners side by side: performance profiles, and the probability that one improves on another.

Both as in Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice" (NeurIPS 2021), with
runs over meta-seeds and chips and a bootstrap that resamples each axis on its own. Errors: less is better.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .statistics import Array, NestedBootstrap, percentile_interval


class Profile(NamedTuple):
    """Share of runs whose error is at most each threshold, with its 95 % band; all (thresholds,)."""

    threshold: Array
    share: Array
    low: Array
    high: Array


class Improvement(NamedTuple):
    """Probability that a run of one learner has the smaller error on a random task, with its 95 % interval."""

    probability: float
    low: float
    high: float


def profile(errors: Array, thresholds: Array, boot: NestedBootstrap) -> Profile:
    """Return the performance profile of errors (meta_seeds, chips, tasks); the band is of each point by itself."""
    thresholds = np.asarray(thresholds, dtype=float)
    below = [errors <= threshold for threshold in thresholds]
    bands = np.array([percentile_interval(boot.means(each)) for each in below])
    return Profile(thresholds, np.array([each.mean() for each in below]), bands[:, 0], bands[:, 1])


def improvement(ours: Array, theirs: Array, seed: int, n_resamples: int = 2000) -> Improvement:
    """Return the probability that `ours` improves on `theirs`, meta-seed against meta-seed and chip against chip.

    The mean over tasks of the Mann-Whitney statistic P(ours < theirs) + P(ours = theirs) / 2. Tasks are the same for
    both and are resampled together; meta-seeds and chips of each learner for themselves.

    Args:
        ours: Errors (meta_seeds, chips, tasks).
        theirs: The same of the other learner; as many tasks.
        seed: Of the resamples.
        n_resamples: Their number.

    Raises:
        ValueError: The tasks are not as many.
    """
    n_tasks = ours.shape[2]
    if theirs.shape[2] != n_tasks:
        raise ValueError(f"{n_tasks} tasks against {theirs.shape[2]}; compare on the same tasks")
    a, b = (np.moveaxis(values, 2, 0).reshape(n_tasks, -1) for values in (ours, theirs))
    wins = (a[:, :, None] < b[:, None, :]) + 0.5 * (a[:, :, None] == b[:, None, :])  # (tasks, runs, their runs)
    boot = NestedBootstrap(ours.shape[1], n_tasks, seed, n_resamples, ours.shape[0])
    other = NestedBootstrap(theirs.shape[1], 1, seed + 1, n_resamples, theirs.shape[0])
    _, seeds, chips, tasks = boot.shares(ours)
    _, their_seeds, their_chips, _ = other.shares(theirs[:, :, :1])
    rows = np.einsum("bs,bk->bsk", seeds, chips).reshape(n_resamples, -1)
    columns = np.einsum("bs,bk->bsk", their_seeds, their_chips).reshape(n_resamples, -1)
    resampled = (tasks @ wins.reshape(n_tasks, -1)).reshape(n_resamples, rows.shape[1], columns.shape[1])
    found = np.einsum("bij,bi,bj->b", resampled, rows, columns, optimize=True)
    return Improvement(float(wins.mean()), *percentile_interval(found))
