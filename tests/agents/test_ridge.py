"""The ridge refit: it solves its normal equations, keeps every lesson, and is told from the start by its penalty."""

import numpy as np
import pytest
import torch

from agents.baselines.ridge import Normal, RidgePolicy
from agents.delta import Lesson
from agents.episodes import make_arms, run_trial
from agents.shipped import load_shipped, shipped_path
from tests.helpers import PLANAR


def lesson(seeded, number, heads, n_steps=20):
    """Return a lesson of arms whose right command these heads (N, J, D) say on top of an innate one."""
    features = torch.randn(len(heads), n_steps, heads.shape[2], generator=seeded(number))
    innate = torch.randn(len(heads), n_steps, heads.shape[1], generator=seeded(number + 100))
    return Lesson(features, innate + features @ heads.mT, innate, torch.zeros_like(innate))


def test_one_weight_by_hand():
    # features 1, 2 and commands 3, 5: mean square 2.5, mean product 6.5; from a start of 1 the product left is
    # 6.5 - 2.5 = 4; a penalty of .5 moves the weight by 4 / (2.5 + .5) = 1.333333
    normal = Normal(torch.ones(1, 1), 1)
    column = lambda *values: torch.tensor(values)[None, :, None]  # noqa: E731
    normal.add(Lesson(column(1.0, 2.0), column(3.0, 5.0), column(0.0, 0.0), column(0.0, 0.0)))
    torch.testing.assert_close(normal.solve(0.5), torch.full((1, 1, 1), 2.333333))


def test_heads_that_explain_all_are_found_and_lessons_add_up(seeded):
    heads = torch.randn(3, 2, 25, generator=seeded(7))
    normal = Normal(torch.randn(2, 25, generator=seeded(8)), 3)
    normal.add(lesson(seeded, 1, heads))  # 20 steps leave 25 weights open
    assert (normal.solve(1e-9) - heads).abs().max() > 0.1
    normal.add(lesson(seeded, 2, heads))
    torch.testing.assert_close(normal.solve(1e-9), heads, atol=1e-4, rtol=0)


def test_a_large_penalty_keeps_the_start(seeded):
    start = torch.randn(2, 25, generator=seeded(8))
    normal = Normal(start, 3)
    normal.add(lesson(seeded, 1, torch.randn(3, 2, 25, generator=seeded(7))))
    torch.testing.assert_close(normal.solve(1e9), start.expand(3, -1, -1), atol=1e-5, rtol=0)


def test_a_refit_head_drives_better():
    learner = load_shipped(shipped_path(PLANAR), PLANAR).learner
    env = make_arms(PLANAR, 8, nthread=1)
    tasks = env.unwrapped.sample_tasks(8, seed=1001)
    policy = RidgePolicy(learner, env.unwrapped.arm_cfg, 8)
    episodes, _ = run_trial(env, policy, tasks, range(8), 3)
    env.close()
    errors = [episode.error.mean() for episode in episodes]
    assert np.isfinite(errors).all()
    assert errors[1] < 0.5 * errors[0]
    assert errors[2] < 0.2 * errors[0]


def test_an_impossible_penalty_is_named():
    learner = load_shipped(shipped_path(PLANAR), PLANAR).learner
    with pytest.raises(ValueError, match=r"penalty must be positive, got 0\.0"):
        RidgePolicy(learner, None, 1, 0.0)
