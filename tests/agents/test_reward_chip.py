"""The reward learner on chips: an ideal memory is software, and a real one is written and billed."""

import dataclasses

import numpy as np
import pytest
import torch

from agents.chip import ChipCfg, deploy_learner
from agents.episodes import run_episode
from agents.metering import Metered
from agents.reward_calibration import working_range
from agents.reward_noise import HardwareCfg, NoisySubstrate
from agents.reward_policy import RewardPolicy
from agents.reward_trials import gather_trials
from tests.agents.toy_reach import ToyReach, toy_learner

N = 4


def play(learner, substrate, n_arms, episodes=3):
    """Run a trial on a substrate; return all actions, and the policy's meter."""
    env = ToyReach(n_arms)
    bodies = env.sample_tasks(N, 1) * (n_arms // N)
    env.set_tasks(bodies)
    policy = RewardPolicy(learner, substrate, env.unpack, torch.Generator().manual_seed(2), explores=episodes - 1)
    meter, actions = Metered(policy, substrate), []
    observation, _ = env.reset(seed=range(n_arms))
    for number in range(episodes):
        meter.begin()
        episode, observation = run_episode(env, meter.act, observation)
        actions.append(episode.action)
        if number < episodes - 1:
            meter.learn(episode)
    return np.stack(actions, axis=1), meter


@pytest.fixture(scope="module")
def deployed():
    learner = toy_learner(rate=2.0).requires_grad_(False)
    env = ToyReach(32)
    trials = gather_trials(env, learner, env.sample_tasks(32, 0), 3, HardwareCfg(), 0)
    return learner, working_range(learner, trials)


def test_an_ideal_memory_is_software(deployed):
    learner, calibration = deployed
    software, _ = play(learner, NoisySubstrate(learner, N, HardwareCfg(), torch.Generator()), N)
    cfg = ChipCfg(memory="ideal", bits=0, read_noise="off", headroom=4.0)
    chip, _ = play(learner, deploy_learner(learner, calibration, cfg, 1, N, 0), N)
    assert np.abs(software).max() > 0.1
    np.testing.assert_allclose(chip, software, atol=1e-5)


def test_a_real_memory_is_written_once_a_lesson_and_billed(deployed):
    learner, calibration = deployed
    substrate = deploy_learner(learner, calibration, dataclasses.replace(ChipCfg(), age_s=60.0), 2, N, 0)
    actions, meter = play(learner, substrate, 2 * N)
    assert np.isfinite(actions).all()
    assert not np.allclose(actions[:N, 1], actions[N:, 1], atol=1e-4)  # two chips
    assert len(meter.lessons) == 2
    for lesson in meter.lessons:
        assert (lesson.devices > 0).all()
        assert (lesson.energy_nominal_j > 0).all()


def test_never_written_is_never_billed_for_a_write(deployed):
    learner, _ = deployed
    substrate = NoisySubstrate(learner, N, HardwareCfg(), torch.Generator())
    env = ToyReach(N)
    policy = RewardPolicy(learner, substrate, env.unpack, torch.Generator(), explores=0, plastic=False)
    policy.begin()
    assert not policy.act(np.zeros((N, 10), dtype=np.float32)).any()  # a head of zeros, and no exploration
    assert policy.learn(None) is None
