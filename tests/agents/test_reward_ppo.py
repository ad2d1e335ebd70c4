"""The outer loop: advantages over whole trials by hand, likelihoods, and the rate that follows the divergence."""

import numpy as np
import torch

from agents.reward_critic import Critic, truth_of
from agents.reward_ppo import Optimiser, PPOCfg, log_likelihood, trial_advantages
from tests.agents.toy_reach import ToyTask, toy_learner

REWARD = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])  # one trial, two episodes, two steps
VALUE = torch.tensor([[[0.5, 1.0, 2.0], [1.5, 2.5, 4.0]]])


def test_advantages_where_an_episode_is_an_end():
    found = trial_advantages(REWARD, VALUE, PPOCfg(discount=0.5, trace=0.5))
    # surprises: 1 + .5 - .5 = 1, 2 + 1 - 1 = 2; 3 + 1.25 - 1.5 = 2.75, 4 + 2 - 2.5 = 3.5; carried by .25
    torch.testing.assert_close(found, torch.tensor([[[1.5, 2.0], [3.625, 3.5]]]))


def test_advantages_that_go_on_into_the_next_episode():
    found = trial_advantages(REWARD, VALUE, PPOCfg(discount=0.5, trace=0.5, discount_between=0.8))
    # the first episode's last surprise is 2 + .8 x 1.5 - 1 = 2.2, and carries .8 x .5 of 3.625: 3.65;
    # before it 1 + .25 x 3.65
    torch.testing.assert_close(found, torch.tensor([[[1.9125, 3.65], [3.625, 3.5]]]))


def test_likelihoods_use_the_spread_of_their_episode():
    command, mean = torch.tensor([[[[1.0, 0.0]], [[2.0, 1.0]]]]), torch.zeros(1, 2, 1, 2)
    found = log_likelihood(command, mean, torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(found, torch.tensor([[[-0.5], [-0.625]]]))  # (4 + 1) / 4 / 2


def test_the_critic_is_told_how_motors_are_wired():
    one, two = ToyTask((0, 1)), ToyTask((1, 0))
    two.params["motor_swap"] = 0
    truth = truth_of([one, two], 2)
    torch.testing.assert_close(truth.wiring[0], torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
    # swapped: command 0 drives joint 1, whose motor is right; command 1 drives joint 0, whose motor is reversed
    torch.testing.assert_close(truth.wiring[1], torch.tensor([[0.0, -1.0], [1.0, 0.0]]))


def test_the_rate_follows_the_divergence():
    learner = toy_learner()
    critic = Critic(learner.network, truth_of([ToyTask((0, 1)), ToyTask((1, 1))], 2), 3)
    optimiser = Optimiser(learner, critic, PPOCfg(rate=1e-2, divergence=0.01))
    np.testing.assert_allclose(optimiser.rate, 2e-3)
    for divergence, first, factor in (
        (0.001, True, 1.0),
        (0.001, False, 1.1),
        (0.015, False, 1.0),
        (0.03, True, 1 / 1.3),
    ):
        before = optimiser.rate
        optimiser._adapt(divergence, first=first)
        np.testing.assert_allclose(optimiser.rate, before * factor)
