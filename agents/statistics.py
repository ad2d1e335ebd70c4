"""Figures with their spread: means, interquartile means, worst tenths, and nested bootstrap intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[Any]
CHUNK = 200  # resamples that are worked on at once: the weights of every run in each of them must fit


def iqm(values: Array) -> float:
    """Return the mean of the middle half (Agarwal et al., NeurIPS 2021)."""
    return float(stats.trim_mean(np.asarray(values).ravel(), 0.25))


def worst_tenth(values: Array) -> float:
    """Return the mean of the largest tenth of errors, at least one of them."""
    ordered = np.sort(np.asarray(values).ravel())
    return float(ordered[-max(1, len(ordered) // 10) :].mean())


class NestedBootstrap:
    """Resamples meta-seeds, chips and tasks each on its own axis; the same resamples serve every figure of a table.

    A percentile interval over n members is narrow by about sqrt((n - 1) / n), and more where n is very small: with 5
    meta-seeds and nothing else that varies, 95 % intervals hold the truth in 85 % of cases (measured by a test).
    """

    def __init__(self, n_chips: int, n_tasks: int, seed: int, n_resamples: int = 2000, n_meta_seeds: int = 1) -> None:
        rng = np.random.default_rng(seed)
        chips, tasks = _counts(rng, n_chips, n_resamples), _counts(rng, n_tasks, n_resamples)
        self._shares = (_counts(rng, n_meta_seeds, n_resamples), chips, tasks)

    def shares(self, values: Array) -> tuple[Array, Array, Array, Array]:
        """Return values as (meta_seeds, chips, tasks), and with what share each resample weighs a member of each axis.

        Args:
            values: (meta_seeds, chips, tasks), (chips, tasks) or (tasks,). What has a length of 1 does not vary there:
                the nominal controller has neither chips nor meta-seeds.

        Raises:
            ValueError: An axis is neither 1 nor as long as this bootstrap's.
        """
        values = np.asarray(values)
        values = values.reshape((1,) * (3 - values.ndim) + values.shape)
        known = tuple(share.shape[1] for share in self._shares)
        if any(length not in (1, full) for length, full in zip(values.shape, known, strict=True)):
            raise ValueError(f"values of {values.shape} meta-seeds, chips and tasks; this bootstrap resamples {known}")
        alone = np.ones((len(self._shares[0]), 1))
        sizes = zip(self._shares, values.shape, strict=True)
        seeds, chips, tasks = (share if share.shape[1] == length else alone for share, length in sizes)
        return values, seeds, chips, tasks

    def means(self, values: Array) -> Array:
        """Return the resampled means of values (meta_seeds, chips, tasks), or of the last axes alone."""
        values, seeds, chips, tasks = self.shares(values)
        rows = np.einsum("bs,bk->bsk", seeds, chips).reshape(len(tasks), -1)
        return np.einsum("br,br->b", rows, tasks @ values.reshape(-1, values.shape[2]).T)

    def iqms(self, values: Array) -> Array:
        """Return the resampled interquartile means: the middle half of the weights of a resample."""
        values, seeds, chips, tasks = self.shares(values)
        order = np.argsort(values, axis=None, kind="stable")
        found = []
        for start in range(0, len(tasks), CHUNK):
            part = (share[start : start + CHUNK] for share in (seeds, chips, tasks))
            weights = np.einsum("bs,bk,bt->bskt", *part).reshape(-1, values.size)[:, order]
            reached = np.clip(np.cumsum(weights, axis=1), 0.25, 0.75)
            found.append(2.0 * np.diff(reached, axis=1, prepend=0.25) @ values.ravel()[order])
        return np.concatenate(found)

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
