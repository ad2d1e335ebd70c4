"""A lesson that surprises begins again from the head's start, in one write; any other is as it was."""

import numpy as np
import pytest
import torch

from agents.chip import ChipCfg, deploy_learner
from agents.delta import DeltaCfg, Lesson, head_increment
from agents.episodes import make_arms
from agents.midlife import Leg, run_life
from agents.policy import DeltaPolicy, SoftwareSubstrate
from agents.shipped import load_shipped, shipped_path
from agents.surprise import LEVEL, surprise, take_back
from tests.helpers import PLANAR

CFG = DeltaCfg()


def lesson(head, start, seed=0):
    """Return a lesson of N arms whose right head is `start` and that were driven by `head`, both (N, 2, 5)."""
    features = torch.randn(head.shape[0], 40, 5, generator=torch.Generator().manual_seed(seed))
    return Lesson(features, features @ start.mT, torch.zeros(head.shape[0], 40, 2), features @ head.mT)


def test_surprise_by_hand():
    # errors 1, -2 and 9, clipped at 3, of one joint: (1 + 2 + 3) / 3 = 2
    command = torch.tensor([1.0, -2.0, 9.0]).reshape(1, 3, 1)
    nothing = torch.zeros(1, 3, 1)
    assert surprise(Lesson(torch.ones(1, 3, 1), command, nothing, nothing), CFG).item() == pytest.approx(2.0)


def test_only_lessons_that_surprise_take_back_what_was_added():
    start = torch.zeros(2, 2, 5)
    added = torch.stack([torch.full((2, 5), 2.0), torch.full((2, 5), 0.01)])
    taken = lesson(start + added, start)
    told, back = take_back(taken, added, LEVEL, CFG)
    torch.testing.assert_close(back, torch.stack([-added[0], torch.zeros(2, 5)]))
    torch.testing.assert_close(told.head[0], torch.zeros(40, 2), atol=1e-5, rtol=0)  # what the start says
    assert torch.equal(told.head[1], taken.head[1])


@pytest.fixture(scope="module")
def life():
    """The shipped learner, eight arms, and legs of other bodies."""
    env = make_arms(PLANAR, 8, nthread=1)
    bodies = env.unwrapped.sample_tasks(8, split="train", seed=1000)
    yield load_shipped(shipped_path(PLANAR), PLANAR), env, [Leg(bodies, 3), Leg([*bodies[1:], bodies[0]], 2)]
    env.close()


class Watched(DeltaPolicy):
    """Notes how much each lesson surprised, and what it wrote."""

    def lesson(self, episode):
        found = super().lesson(episode)
        self.seen = [*getattr(self, "seen", []), (found, surprise(found, CFG))]
        return found


def lived(life, level):
    shipped, env, legs = life
    substrate = SoftwareSubstrate(shipped.learner, 8)
    policy = Watched(shipped.learner, substrate, env.unwrapped.arm_cfg, surprise=level)
    episodes, _ = run_life(env, policy, legs, range(8))
    return substrate, policy, np.stack([episode.error for episode in episodes], axis=1)


def test_after_a_surprise_the_head_is_that_of_a_first_lesson(life):
    learner = life[0].learner
    substrate, policy, _ = lived(life, 1e-9)  # every lesson begins again
    last, _ = policy.seen[-1]
    first = last._replace(head=last.features @ learner.head.mT)
    wanted = learner.head + head_increment(first, learner.rate, learner.rule)
    torch.testing.assert_close(substrate.weights, wanted, atol=1e-4, rtol=1e-4)


def test_without_a_surprise_nothing_differs(life):
    never, policy, errors = lived(life, 100.0)  # errors are clipped at 3
    usual, _, wanted = lived(life, float("inf"))
    assert torch.equal(never.weights, usual.weights)
    np.testing.assert_array_equal(errors, wanted)
    assert max(float(level.max()) for _, level in policy.seen) <= CFG.error_clip


def test_a_chip_takes_back_in_the_same_write(life):
    shipped, env, legs = life
    substrate = deploy_learner(shipped.learner, shipped.calibration, ChipCfg(), 1, 8, 0)
    before = substrate.head_array.weights()
    policy = DeltaPolicy(shipped.learner, substrate, env.unwrapped.arm_cfg, surprise=1e-9)
    _, reports = run_life(env, policy, legs, range(8))
    assert len(reports) == 4  # one write a lesson
    assert policy._added is not None
    away = substrate.head_array.weights() - before - policy._added
    spread = 1.3 * shipped.calibration["head_range"][:, None]
    assert float((away / spread).square().mean().sqrt()) < 0.05  # what four writes left, not what they added
    assert float((policy._added / spread).square().mean().sqrt()) > 0.05


@pytest.mark.parametrize("level", [0.0, -1.0, float("nan")])
def test_no_surprise_is_refused(life, level):
    shipped, env, _ = life
    with pytest.raises(ValueError, match="surprise must be positive, got"):
        DeltaPolicy(shipped.learner, SoftwareSubstrate(shipped.learner, 8), env.unwrapped.arm_cfg, surprise=level)
