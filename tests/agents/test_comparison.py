import numpy as np
import pytest

from agents.comparison import improvement, profile
from agents.statistics import NestedBootstrap


def test_profile_by_hand():
    # Runs of 0.1, 0.2, 0.3 and 0.4: none at most .05, a quarter at most .1, three quarters at most .35, all at most 1.
    errors = np.array([[[0.1, 0.4]], [[0.3, 0.2]]])  # two meta-seeds, one chip, two tasks
    found = profile(errors, [0.05, 0.1, 0.35, 1.0], NestedBootstrap(1, 2, 0, n_meta_seeds=2))
    np.testing.assert_allclose(found.share, [0.0, 0.25, 0.75, 1.0])
    assert found.low[0] == found.high[0] == 0.0
    assert found.low[-1] == found.high[-1] == 1.0
    assert found.low[2] <= 0.75 <= found.high[2]


def test_improvement_by_hand():
    # Task 0: ours 1, 3 against theirs 2: one of two pairs is won. Task 1: 5, 2 against 5: a tie and a win, .75.
    ours, theirs = np.array([[[1.0, 5.0]], [[3.0, 2.0]]]), np.array([[[2.0, 5.0]]])
    found = improvement(ours, theirs, seed=0)
    assert found.probability == pytest.approx((0.5 + 0.75) / 2)
    assert found.low <= found.probability <= found.high


def test_the_better_one_always_wins_and_equals_win_half():
    errors = np.random.default_rng(0).gamma(2.0, size=(3, 4, 20))
    task = np.random.default_rng(1).gamma(2.0, size=(1, 1, 20))
    np.testing.assert_allclose(improvement(np.zeros((1, 1, 20)), errors, 0), 1.0)
    assert improvement(task, task, 0).probability == 0.5
    one, other = improvement(errors, task, 0), improvement(task, errors, 0)
    assert one.probability + other.probability == pytest.approx(1.0)
    with pytest.raises(ValueError, match="20 tasks against 19"):
        improvement(errors, errors[:, :, :19], 0)


def test_a_fixed_gain_is_found_whatever_the_tasks_differ_by():
    """Tasks differ by far more than learners: pairs on the same task show the gain all the same."""
    rng = np.random.default_rng(2)
    task = rng.normal(0.0, 100.0, size=(1, 1, 30))
    ours, theirs = (task + gain + rng.normal(size=(4, 6, 30)) for gain in (-5.0, 0.0))
    assert improvement(ours, theirs, 0).low > 0.99


def test_intervals_of_improvement_cover_the_truth():
    """Normal runs whose means differ by .5 sd, seeds and chips adding nothing: P = Phi(.5 / sqrt 2) = .638."""
    rng, held = np.random.default_rng(3), []
    for trial in range(200):
        ours, theirs = rng.normal(-0.5, 1.0, (4, 4, 25)), rng.normal(0.0, 1.0, (4, 4, 25))
        found = improvement(ours, theirs, trial, n_resamples=300)
        held.append(found.low < 0.638 < found.high)
    assert np.mean(held) > 0.90  # resampling whole axes of pure noise is wide, not narrow
