"""Figures with their spread: means, interquartile means, worst tenths, and nested bootstrap intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[Any]


def iqm(values: Array) -> float:
    """Return the mean of the middle half (Agarwal et al., NeurIPS 2021)."""
    return float(stats.trim_mean(np.asarray(values).ravel(), 0.25))


def worst_tenth(values: Array) -> float:
    """Return the mean of the largest tenth of errors, at least one of them."""
    ordered = np.sort(np.asarray(values).ravel())
    return float(ordered[-max(1, len(ordered) // 10) :].mean())


class NestedBootstrap:
    """Resamples chips and tasks each on its own axis; the same resamples serve every figure of a table."""

    def __init__(self, n_chips: int, n_tasks: int, seed: int, n_resamples: int = 2000) -> None:
        rng = np.random.default_rng(seed)
        self._chips = _counts(rng, n_chips, n_resamples)
        self._tasks = _counts(rng, n_tasks, n_resamples)

    def means(self, values: Array) -> Array:
        """Return the resampled means of values (chips, tasks), or (tasks,) where no chip is involved."""
        values = np.asarray(values)
        if values.ndim == 1:
            return self._tasks @ values
        return np.einsum("bk,kt,bt->b", self._chips, values, self._tasks, optimize=True)

    def interval(self, values: Array) -> tuple[float, float]:
        """Return the 95 % interval of the mean."""
        return percentile_interval(self.means(values))


def percentile_interval(resampled: Array) -> tuple[float, float]:
    """Return the 95 % percentile interval of resampled figures."""
    low, high = np.percentile(resampled, [2.5, 97.5])
    return float(low), float(high)


def _counts(rng: np.random.Generator, n: int, n_resamples: int) -> Array:
    """Return the shares (n_resamples, n) with which each resample weighs each member."""
    return rng.multinomial(n, np.full(n, 1 / n), size=n_resamples) / n
