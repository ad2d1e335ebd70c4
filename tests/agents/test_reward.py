"""The reward learner's rule: by hand, by symmetry, and its gradient through the writes against finite differences."""

import numpy as np
import pytest
import torch

from agents.reward import Lesson, increment
from agents.reward_echo import lagged
from agents.reward_noise import HardwareCfg, NoisySubstrate
from agents.reward_policy import RewardPolicy
from agents.reward_sense import HISTORY, RewardCfg, encode, sense
from agents.reward_trials import gather_trials, replay
from tests.agents.toy_reach import ToyReach, toy_learner


def toy_trials(learner, n=6, n_episodes=3, seed=1, **hardware):
    env = ToyReach(n)
    return gather_trials(env, learner, env.sample_tasks(n, seed), n_episodes, HardwareCfg(**hardware), seed)


def test_an_increment_is_rate_times_the_mean_of_signal_times_activity():
    signal = torch.tensor([[[1.0, 0.0], [2.0, -1.0]]])  # one arm, two steps, two outputs
    features = torch.tensor([[[1.0, 0.5, 1.0], [-1.0, 0.0, 1.0]]])
    rate = torch.tensor([[0.1, 0.2, 1.0]])
    # output 0: means (1 - 2) / 2, (.5 + 0) / 2, (1 + 2) / 2; output 1: (0 + 1) / 2, 0, (0 - 1) / 2
    expected = torch.tensor([[[-0.05, 0.05, 1.5], [0.05, 0.0, -0.5]]])
    torch.testing.assert_close(increment(signal, features, rate), expected)


def test_lags_reach_back_and_find_nothing_before_the_episode():
    series = torch.tensor([[[1.0], [2.0], [3.0]]])
    torch.testing.assert_close(lagged(series, 2)[0, :, 0], torch.tensor([[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]]))


def test_what_is_sensed_by_hand():
    cfg, env = toy_learner().network, ToyReach(1)
    seen = torch.zeros(4, 10)
    seen[:, 2] = torch.tensor([0.0, 0.5, 0.5, 2.5])  # a velocity
    seen[:, 6] = torch.tensor([0.0, 0.05, 0.0, 0.0])  # a coordinate of the tip
    reward = torch.tensor([-1.0, -0.98, -0.95])
    own = sense(cfg, env.unpack, seen, reward)[:, cfg.n_inputs :]
    # steps of velocity, of the tip by 5 cm, the reward, its change by .1, and ten times the change of that
    expected = [[0.5, 0, 1, 0, -1.0, 0, 0], [0, 0, -1, 0, -0.98, 0.2, 0], [2, 0, 0, 0, -0.95, 0.3, 1.0]]
    torch.testing.assert_close(own, torch.tensor(expected))


@pytest.mark.parametrize(("n_joints", "n_axes", "parallel"), [(2, 2, (0, 1)), (5, 3, (1, 2, 3))])
def test_the_encoding_has_its_width_and_fits_the_converters(n_joints, n_axes, parallel):
    cfg = RewardCfg(n_joints, n_axes, parallel)
    rng = np.random.default_rng(0)
    sizes = (n_joints, n_joints, n_axes, n_axes, n_joints)
    seen = type(ToyReach(1).unpack(torch.zeros(10)))(*(torch.tensor(3 * rng.standard_normal((7, n))) for n in sizes))
    x = encode(cfg, seen, torch.zeros(7, HISTORY, n_joints))
    assert x.shape == (7, cfg.n_inputs)
    assert x.abs().max() <= 1.0


def test_a_reversed_motor_reverses_its_signal_and_no_other():
    learner = toy_learner()
    series = (torch.randn(3, 5, n, generator=torch.Generator().manual_seed(n)) for n in (35, 0, 9, 2, 2))
    lesson = Lesson(*series, torch.tensor([0, 1, 2]))
    assert lesson.sensed.shape[-1] == learner.network.n_sensed
    flip = torch.tensor([-1.0, 1.0])
    flipped = lesson._replace(command=lesson.command * flip, mean=lesson.mean * flip)
    torch.testing.assert_close(learner.signal(flipped), learner.signal(lesson) * flip)
    swapped = lesson._replace(command=lesson.command.flip(-1), mean=lesson.mean.flip(-1))
    torch.testing.assert_close(learner.signal(swapped), learner.signal(lesson).flip(-1))
    apart = toy_learner(shared_motors=False)
    torch.testing.assert_close(apart.signal(flipped), apart.signal(lesson) * flip)
    assert not torch.allclose(apart.signal(swapped), apart.signal(lesson).flip(-1), atol=1e-3)


@pytest.mark.parametrize("hardware", [{}, {"read_noise": 0.05, "write_noise": 0.1}])
def test_a_trial_gone_through_again_is_the_trial(hardware):
    learner = toy_learner()
    trials = toy_trials(learner, **hardware)
    torch.testing.assert_close(replay(learner, trials).mean, trials.mean, rtol=1e-4, atol=1e-5)
    assert (trials.read_noise is None) == (trials.write_noise is None) == (not hardware)


def test_the_gradient_goes_through_the_writes():
    learner = toy_learner(rate=2.0).double()
    trials = toy_trials(toy_learner(rate=2.0))
    trials = type(trials)(*(None if part is None else part.double() for part in tuple.__iter__(trials)))

    def loss():
        return replay(learner, trials).mean[:, 2].square().sum()  # the last episode alone, after two writes

    value = loss()
    value.backward()
    for name in ("log_rate", "signals.modulator.weight", "signals.gate_first.weight", "fixed.first.weight"):
        parameter = dict(learner.named_parameters())[name]
        assert parameter.grad is not None
        place = np.unravel_index(int(parameter.grad.abs().argmax()), parameter.shape)
        step, found = 1e-6, []
        for sign in (1.0, -1.0):
            with torch.no_grad():
                parameter[place] += sign * step
                found.append(float(loss()))
                parameter[place] -= sign * step
        slope = (found[0] - found[1]) / (2.0 * step)
        assert abs(slope) > 1e-6
        np.testing.assert_allclose(float(parameter.grad[place]), slope, rtol=1e-4)


def test_policy_and_signals_see_nothing_but_what_was_sensed_and_earned():
    learner, env, n = toy_learner(rate=2.0), ToyReach(6), 6
    trials = toy_trials(learner)
    # a policy that was never near a world, fed what the first one saw, issues the same commands and writes the same
    substrate = NoisySubstrate(learner, n, HardwareCfg(), generator := torch.Generator().manual_seed(1))
    policy = RewardPolicy(learner, substrate, env.unpack, generator)
    for k in range(3):
        torch.testing.assert_close(substrate.weights, trials.head[:, k])
        policy.begin()
        for t in range(trials.reward.shape[2]):
            policy.act(trials.seen[:, k, t].numpy())
        torch.testing.assert_close(policy.commands, trials.command[:, k])
        taken = (policy.commands * 0.5).clamp(-1, 1) / 0.5
        lesson = Lesson(
            trials.sensed[:, k], taken[..., :0], policy.features, taken, policy.means, trials.correlation[:, k]
        )
        substrate.write(learner.lesson_increment(lesson))
