"""A body that is not reached with begins again: its head is taken back, its answers forgotten, and it explores."""

import numpy as np
import pytest
import torch

from agents.episodes import run_episode
from agents.reward_noise import HardwareCfg, NoisySubstrate
from agents.reward_policy import RewardPolicy
from agents.reward_renewal import RenewingPolicy
from tests.agents.toy_reach import STEPS, ToyReach, toy_learner

EXPLORES = 2


def at_work(kind, learner, n, **more):
    """Return a policy in the toy world and its substrate."""
    generator = torch.Generator().manual_seed(3)
    substrate = NoisySubstrate(learner, n, HardwareCfg(), generator)
    return kind(learner, substrate, ToyReach(n).unpack, generator, explores=EXPLORES, **more), substrate


def live(policy, substrate, n, episodes):
    """Return the head in each of the episodes, the spread of exploration, and the distances left."""
    env = ToyReach(n)
    env.set_tasks(env.sample_tasks(n, 0))
    observation, _ = env.reset(range(n))
    heads, spreads, left = [], [], []
    for _ in range(episodes):
        policy.begin()
        heads.append(substrate.weights.clone())
        spreads.append(policy.spread.expand(n, 1)[:, 0].clone())
        episode, observation = run_episode(env, policy.act, observation)
        left.append(np.linalg.norm(episode.observation[:, 1:, 4:6] - episode.observation[:, 1:, 6:8], axis=-1).mean(-1))
        policy.learn(episode)
    return torch.stack(heads), torch.stack(spreads), np.stack(left)


def listening():
    return toy_learner(rate=2.0, echoes=2, answers=3, looks_ahead=True, answers_teach=True)


def test_where_nothing_is_amiss_it_is_the_policy():
    learner = listening()
    renewing, plain = at_work(RenewingPolicy, learner, 5, level_m=9.0), at_work(RewardPolicy, learner, 5)
    for one, other in zip(live(*renewing, 5, 5)[:2], live(*plain, 5, 5)[:2], strict=True):
        assert torch.equal(one, other)


def test_bodies_that_are_not_reached_with_begin_again_and_no_other():
    assert STEPS == 12  # the whole episode is its end
    policy, substrate = at_work(RenewingPolicy, learner := listening(), 6, level_m=0.5)
    heads, spreads, left = live(policy, substrate, 6, 5)
    far = torch.from_numpy(left[EXPLORES] > 0.5)
    assert 0 < far.sum() < 6
    torch.testing.assert_close(heads[3][far], heads[0][far], atol=1e-6, rtol=0)
    assert (heads[3][~far] - heads[0][~far]).abs().max() > 1e-3
    assert torch.equal(spreads[2], torch.zeros(6))
    assert torch.equal(spreads[3], torch.where(far, learner.spread[0], 0.0))
    assert (heads[4][far] - heads[3][far]).abs().max() > 1e-3  # and it learns anew
    assert torch.equal(spreads[4][far], learner.spread[1].expand(int(far.sum())))


def test_answers_of_the_body_before_are_forgotten():
    policy, substrate = at_work(RenewingPolicy, listening(), 4, level_m=0.0)
    live(policy, substrate, 4, EXPLORES + 1)
    assert (policy.correlation == 0.0).all()


def test_one_that_always_explores_is_refused():
    learner = listening()
    substrate = NoisySubstrate(learner, 1, HardwareCfg(), torch.Generator())
    with pytest.raises(ValueError, match="always explores"):
        RenewingPolicy(learner, substrate, ToyReach(1).unpack, torch.Generator())
