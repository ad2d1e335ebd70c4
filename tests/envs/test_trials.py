"""A trial is several episodes on one body; many arms go through them as single ones do."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from envs.models import ARMS
from envs.tasks import Task
from envs.trials import REWARD_BOUND, TrialEnv, TrialVectorEnv, trial_observation

IDS = {name: f"envs:PhaseArm/{name.capitalize()}Track-v0" for name in ARMS}
K, T = 3, 100


@pytest.fixture(params=sorted(ARMS))
def arm(request):
    return request.param


def many(arm, n=3, episodes=K, **options):
    return TrialVectorEnv(gym.make_vec(IDS[arm], num_envs=n, nthread=1, **options), episodes)


def actions_of(env, n_steps):
    return np.random.default_rng(0).uniform(-0.4, 0.4, (n_steps, *env.action_space.shape)).astype(np.float32)


def test_gymnasium_accepts_it(arm):
    check_env(TrialEnv(gym.make(IDS[arm]), 2), skip_render_check=True)


def test_the_body_is_redrawn_only_where_a_trial_begins(arm):
    env = many(arm)
    env.reset(seed=4)
    bodies = [env.unwrapped.tasks]
    for action in actions_of(env, 2 * K * T):
        env.step(action)
        bodies.append(env.unwrapped.tasks)
    for begin in (0, K * T):
        assert all(tasks == bodies[begin] for tasks in bodies[begin : begin + K * T])
    assert not set(bodies[0]) & set(bodies[K * T])
    assert not set(bodies[K * T]) & set(bodies[-1])
    assert all(task.split == "train" for tasks in bodies[:: K * T] for task in tasks)


def test_many_arms_are_as_many_single_ones(arm):
    vector, singles = many(arm), [TrialEnv(gym.make(IDS[arm]), K) for _ in range(3)]
    assert vector.single_observation_space == singles[0].observation_space
    seen = [env.reset(seed=9 + i)[0] for i, env in enumerate(singles)]
    np.testing.assert_array_equal(vector.reset(seed=9)[0], seen)
    for action in actions_of(vector, 2 * K * T + 5):
        observation, reward, terminated, truncated, info = vector.step(action)
        steps = [env.step(one) for env, one in zip(singles, action, strict=True)]
        np.testing.assert_array_equal(reward, [step[1] for step in steps])
        np.testing.assert_array_equal(truncated, [step[3] for step in steps])
        assert not terminated.any()
        for i, (single, step) in enumerate(zip(singles, steps, strict=True)):
            expected = step[0]
            if step[3]:
                final = info["final_info"]
                np.testing.assert_array_equal(info["final_obs"][i], expected)
                np.testing.assert_allclose(final["episode_returns"][i], step[4]["episode_returns"], rtol=1e-12)
                assert final["episode"]["l"][i] == step[4]["episode"]["l"] == K * T
                assert final["episode"]["r"][i] == pytest.approx(step[4]["episode"]["r"], rel=1e-12)
                assert final["rmse_rad"][i] == step[4]["rmse_rad"]
                expected, _ = single.reset()
            elif "episode_info" in step[4]:
                assert info["episode_info"]["rmse_rad"][i] == step[4]["episode_info"]["rmse_rad"]
                assert info["_episode_info"][i]
                assert "final_info" not in info
            np.testing.assert_array_equal(observation[i], expected)


def test_what_is_seen_is_the_arms_own_with_last_action_reward_and_flag(arm):
    trial, plain = many(arm), gym.make_vec(IDS[arm], num_envs=3, nthread=1)
    n_obs, n_joints = plain.single_observation_space.shape[0], plain.single_action_space.shape[0]
    first, _ = trial.reset(seed=2)
    np.testing.assert_array_equal(first[:, :n_obs], plain.reset(seed=2)[0])
    np.testing.assert_array_equal(first[:, n_obs:], [[*np.zeros(n_joints + 1), 1.0]] * 3)
    for k, action in enumerate(actions_of(trial, T)):  # up to the first end the bodies are the same
        seen, reward, *_ = trial.step(action)
        observation, own_reward, *_ = plain.step(action)
        np.testing.assert_array_equal(reward, own_reward)
        np.testing.assert_array_equal(seen[:, n_obs : n_obs + n_joints], action)
        np.testing.assert_array_equal(seen[:, -2], reward.astype(np.float32))
        np.testing.assert_array_equal(seen[:, -1], float(k == T - 1))
        if k < T - 1:
            np.testing.assert_array_equal(seen[:, :n_obs], observation)
        assert trial.observation_space.contains(seen)


def test_a_trial_of_one_episode_is_an_episode():
    trial, plain = many("planar", episodes=1), gym.make_vec(IDS["planar"], num_envs=3, nthread=1)
    np.testing.assert_array_equal(trial.reset(seed=3)[0][:, :12], plain.reset(seed=3)[0])
    for action in actions_of(trial, 2 * T + 3):
        seen, _, _, truncated, _ = trial.step(action)
        observation, _, _, ended, _ = plain.step(action)
        np.testing.assert_array_equal(seen[:, :12], observation)
        np.testing.assert_array_equal(truncated, ended)


def test_a_set_body_holds_over_trials(arm):
    heavy = Task(arm, {"payload_kg": 1.0})
    env = many(arm, episodes=2)
    env.call("set_task", heavy)
    env.reset(seed=0)
    for action in actions_of(env, 4 * T + 1):
        env.step(action)
        assert env.unwrapped.tasks == [heavy] * 3
    single = TrialEnv(gym.make(IDS[arm]), 2)
    single.reset(seed=0, options={"task": heavy})
    assert single.unwrapped.task == heavy
    single.reset(options={"task": None})
    assert single.unwrapped.task != heavy


def test_rewards_and_actions_are_cut():
    seen = trial_observation(np.zeros((2, 3)), np.array([[2.0], [-3.0]]), np.array([1e9, -1e9]), np.ones(2))
    np.testing.assert_array_equal(seen[:, 3:], [[1.0, REWARD_BOUND, 1.0], [-1.0, -REWARD_BOUND, 1.0]])
    assert seen.dtype == np.float32


def test_wrong_use_is_named():
    with pytest.raises(ValueError, match="episodes must be at least 1, got 0"):
        many("planar", episodes=0)
    with pytest.raises(ValueError, match="episodes must be at least 1, got -1"):
        TrialEnv(gym.make(IDS["planar"]), -1)
    other = gym.make_vec(IDS["planar"], num_envs=2, vectorization_mode="sync")
    with pytest.raises(ValueError, match=r"choose from \[AutoresetMode.SAME_STEP\]"):
        TrialVectorEnv(other)
    assert many("planar").metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    with pytest.raises(ValueError, match="unknown option 'reset_mask'"):
        many("planar").reset(options={"reset_mask": np.array([True, False, False])})
