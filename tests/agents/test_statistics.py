import numpy as np
import pytest
from scipy import stats

from agents.statistics import NestedBootstrap, iqm, percentile_interval, worst_tenth


def test_iqm_by_hand():
    # Of eight values the lowest and highest two go; 3, 4, 5 and 6 are left.
    assert iqm(np.array([[100.0, 3.0, 4.0, 1.0], [2.0, 6.0, 5.0, 7.0]])) == pytest.approx(4.5)


def test_worst_tenth_by_hand():
    values = np.arange(40.0).reshape(4, 10)
    assert worst_tenth(values) == pytest.approx((36 + 37 + 38 + 39) / 4)
    assert worst_tenth(np.array([1.0, 5.0, 2.0])) == 5.0  # a tenth of three is still one


def test_percentiles_by_hand():
    assert percentile_interval(np.arange(1001.0)) == pytest.approx((25.0, 975.0))


def test_resamples_of_one_chip_and_one_task_are_the_value():
    boot = NestedBootstrap(1, 1, seed=0)
    assert np.ptp(boot.means(np.array([[3.5]]))) == 0.0
    assert boot.interval(np.array([[3.5]])) == (3.5, 3.5)


def test_resampled_mean_is_a_mean_over_resampled_rows_and_columns():
    """With counts of chips and tasks drawn from [0, 1, ...] / n, two columns of 0 and 1 show the counts themselves."""
    boot = NestedBootstrap(2, 2, seed=1, n_resamples=500)
    chips, tasks = boot.means(np.array([[0.0, 0.0], [1.0, 1.0]])), boot.means(np.array([0.0, 1.0]))
    assert set(np.round(chips, 6)) == set(np.round(tasks, 6)) == {0.0, 0.5, 1.0}
    np.testing.assert_allclose(boot.means(np.array([[0.0, 0.0], [0.0, 1.0]])), chips * tasks)
    assert abs(np.corrcoef(chips, tasks)[0, 1]) < 0.15  # each axis on its own


def test_same_seed_same_interval():
    values = np.random.default_rng(0).normal(size=(4, 30))
    first, again, other = (NestedBootstrap(4, 30, seed).interval(values) for seed in (1, 1, 2))
    assert first == again != other


def test_variance_is_that_of_both_axes():
    """For values a_k + b_t the resampled mean varies by var(a) / K + var(b) / T."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=8), rng.normal(0.0, 2.0, size=50)
    resampled = NestedBootstrap(8, 50, 4, n_resamples=20000).means(a[:, None] + b[None, :])
    assert resampled.mean() == pytest.approx(a.mean() + b.mean(), abs=0.02)
    assert resampled.var() == pytest.approx(a.var() / 8 + b.var() / 50, rel=0.05)


def test_intervals_cover_the_truth():
    """Of 95 % intervals around means of 40 tasks, 90 to 98 % hold the true mean (a bootstrap's are a little narrow)."""
    rng = np.random.default_rng(5)
    samples = rng.normal(1.0, 1.0, size=(400, 40))
    bounds = [NestedBootstrap(1, 40, seed, 500).interval(sample) for seed, sample in enumerate(samples)]
    covered = np.mean([low < 1.0 < high for low, high in bounds])
    assert 0.90 < covered < 0.98


def test_meta_seeds_are_an_axis_of_their_own():
    """For values s_i + a_k + b_t the resampled mean varies by var(s) / S + var(a) / K + var(b) / T."""
    rng = np.random.default_rng(6)
    s, a, b = rng.normal(0.0, 3.0, size=5), rng.normal(size=8), rng.normal(0.0, 2.0, size=50)
    boot = NestedBootstrap(8, 50, 4, n_resamples=20000, n_meta_seeds=5)
    resampled = boot.means(s[:, None, None] + a[:, None] + b)
    assert resampled.var() == pytest.approx(s.var() / 5 + a.var() / 8 + b.var() / 50, rel=0.05)


def test_what_has_no_chips_or_meta_seeds_does_not_vary_with_them():
    boot, task = NestedBootstrap(4, 10, 0, n_resamples=50, n_meta_seeds=3), np.arange(10.0)
    spread_out = np.broadcast_to(task, (3, 4, 10))
    np.testing.assert_allclose(boot.means(task), boot.means(spread_out))
    np.testing.assert_allclose(boot.means(spread_out[:, :1]), boot.means(spread_out))
    with pytest.raises(ValueError, match=r"values of \(2, 4, 10\).*resamples \(3, 4, 10\)"):
        boot.means(np.zeros((2, 4, 10)))


def test_resampled_iqm_is_that_of_the_runs_written_out():
    """Each resample's weights times the number of runs are whole numbers: repeat the runs so often and trim."""
    rng = np.random.default_rng(7)
    boot, values = NestedBootstrap(4, 6, 1, n_resamples=250, n_meta_seeds=2), rng.normal(size=(2, 4, 6))
    _, seeds, chips, tasks = boot.shares(values)
    weights = np.einsum("bs,bk,bt->bskt", seeds, chips, tasks) * values.size
    for found, weight in zip(boot.iqms(values)[::50], weights[::50], strict=True):
        copies = np.repeat(values.ravel(), np.rint(weight).astype(int).ravel())
        assert len(copies) == 48  # a multiple of 4: a quarter is a whole number of runs
        assert found == pytest.approx(iqm(copies))


def test_one_axis_agrees_with_scipy():
    values = np.random.default_rng(8).gamma(2.0, size=60)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20000, rng=1).confidence_interval
    ours = NestedBootstrap(1, 60, 2, n_resamples=20000).interval(values)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.02)


def coverage(n_meta_seeds, spread_of_seeds, n_trials=300):
    """Return how often an interval over seeds, 8 chips and 40 tasks, all of them random, holds the true mean of 0."""
    rng, held = np.random.default_rng(9), []
    for trial in range(n_trials):
        s, a, b = (rng.normal(0.0, sd, n) for sd, n in ((spread_of_seeds, n_meta_seeds), (0.5, 8), (2.0, 40)))
        values = s[:, None, None] + a[:, None] + b + rng.normal(0.0, 1.0, (n_meta_seeds, 8, 40))
        low, high = NestedBootstrap(8, 40, trial, 500, n_meta_seeds).interval(values)
        held.append(low < 0.0 < high)
    return np.mean(held)


def test_intervals_over_three_axes_cover_the_truth():
    assert 0.90 < coverage(n_meta_seeds=10, spread_of_seeds=0.5) < 0.98


def test_five_meta_seeds_alone_give_narrow_intervals():
    """What the class says of itself: where the meta-seeds are nearly all that varies, five of them cover too little."""
    assert 0.78 < coverage(n_meta_seeds=5, spread_of_seeds=10.0) < 0.91
