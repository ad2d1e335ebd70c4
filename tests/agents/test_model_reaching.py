"""Reaching by a model: the truth arrives on every body, the nominal model on its own alone."""

import numpy as np
import pytest

from agents.baselines.reaching import ReachComputedTorque
from agents.episodes import make_arms, run_trial
from envs.tasks import Task

IDS = {name: f"envs:PhaseArm/{name.capitalize()}Reach-v0" for name in ("planar", "scorbot")}
N_ARMS = 16


@pytest.fixture(params=sorted(IDS))
def arm(request):
    return request.param


def reached(env, tasks, told, n_episodes=1):
    episodes, lessons = run_trial(env, ReachComputedTorque(env, told), tasks, range(1000, 1000 + N_ARMS), n_episodes)
    assert lessons == [None] * (n_episodes - 1)
    return episodes


def test_the_oracle_reaches_every_goal_on_every_body_and_the_nominal_model_does_not(arm):
    env = make_arms(IDS[arm], N_ARMS, band="hard")
    tasks = env.unwrapped.sample_tasks(N_ARMS, band="hard", seed=1000)
    assert {task.params["action_delay_steps"] for task in tasks} == {0, 1, 2}
    for episode in reached(env, tasks, tasks, 2):  # every episode has a way of its own
        assert episode.success.all()
        assert episode.error.max() < 0.01  # measured .001 at most
    (episode,) = reached(env, tasks, None)
    assert episode.error.mean() > 0.3  # measured .7 (planar), .57 (scorbot)
    assert episode.reward.shape == (N_ARMS, 50)
    np.testing.assert_allclose(episode.episode_return, episode.reward.sum(1))


def test_on_the_nominal_body_the_nominal_model_is_the_oracle(arm):
    env = make_arms(IDS[arm], N_ARMS)
    tasks = [Task.nominal(arm)] * N_ARMS
    (oracle,), (nominal,) = reached(env, tasks, tasks), reached(env, tasks, None)
    np.testing.assert_allclose(oracle.action, nominal.action, atol=1e-9)
    assert nominal.success.all()


def test_a_delay_that_is_known_costs_nothing():
    env = make_arms(IDS["planar"], N_ARMS)
    late = [Task("planar", {"action_delay_steps": 2, "payload_kg": 1.0})] * N_ARMS
    untold = [Task("planar", {"payload_kg": 1.0})] * N_ARMS
    (known,), (unknown,) = reached(env, late, late), reached(env, late, untold)
    assert known.error.max() < 0.01
    assert unknown.error.mean() > 3 * known.error.mean()
