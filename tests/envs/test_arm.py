"""One arm: Gymnasium's and Stable-Baselines3's checkers, determinism, and what an observation gives away."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from envs.arm import ArmEnv
from envs.models import ARMS
from envs.tasks import Task

IDS = {name: f"envs:PhaseArm/{name.capitalize()}Track-v0" for name in ARMS}


@pytest.fixture(params=sorted(ARMS))
def arm(request):
    return request.param


def run(env, seed, n_steps=250, size=0.5, actions=0):
    """Return observations, rewards and infos of a run over episodes."""
    rng = np.random.default_rng(actions)
    observation, info = env.reset(seed=seed)
    said = [(observation, 0.0, info)]
    for _ in range(n_steps):
        action = rng.uniform(-size, size, env.action_space.shape).astype(np.float32)
        observation, reward, terminated, truncated, info = env.step(action)
        assert type(terminated) is bool
        assert type(truncated) is bool
        said.append((observation, reward, info))
        if truncated:
            said.append((*env.reset(), 0.0))
    return said


def test_gymnasium_checker_passes_without_a_warning_of_ours(arm):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*not within the observation space bounds.*")
        check_env(gym.make(IDS[arm]).unwrapped, skip_render_check=True)


def test_stable_baselines3_checker_passes(arm):
    check_env_sb3(gym.make(IDS[arm]).unwrapped, warn=False)


def test_same_seed_same_run_other_seed_other_run(arm):
    one, two, other = (run(gym.make(IDS[arm]), seed) for seed in (3, 3, 4))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        assert str(a[1:]) == str(b[1:])
    assert not np.array_equal(one[0][0], other[0][0])


def test_first_observation_does_not_betray_the_body(arm):
    env = gym.make(IDS[arm])
    tasks = [Task.nominal(arm)]
    for band in ("in_range", "mild", "hard"):
        tasks += env.unwrapped.sample_tasks(5, band=band, seed=0)
    first = [env.reset(seed=11, options={"task": task})[0] for task in tasks]
    drawn, _ = env.reset(seed=11, options={"task": None})
    for observation in (*first, drawn):
        np.testing.assert_array_equal(observation, first[0])


def test_references_of_later_episodes_do_not_depend_on_actions_or_bodies(arm):
    def goals(actions, task):
        env = gym.make(IDS[arm])
        env.unwrapped.set_task(task)
        cfg = env.unwrapped.arm_cfg
        return np.stack([cfg.unpack(said[0]).q_ref_rad for said in run(env, 5, 320, 0.3, actions)])

    same = goals(0, None)
    np.testing.assert_array_equal(same, goals(1, None))
    np.testing.assert_array_equal(same, goals(0, Task.nominal(arm)))


def test_noise_of_later_episodes_does_not_depend_on_the_body(arm):
    env = gym.make(IDS[arm]).unwrapped
    seen = []
    for task in (Task.nominal(arm), env.sample_tasks(1, band="hard", seed=0)[0]):
        env.reset(seed=9, options={"task": task})
        for _ in range(100):
            env.step(np.zeros(env.action_space.shape))
        seen.append(env.reset()[0])
    np.testing.assert_array_equal(*seen)


def test_observations_stay_within_bounds_even_when_the_arm_falls(arm):
    env = gym.make(IDS[arm])
    for observation, *_ in run(env, 0, 300, size=1.0):
        assert env.observation_space.contains(observation)


def test_conventions_of_mujoco_environments(arm):
    env = gym.make(IDS[arm]).unwrapped
    assert (env.dt, env.frame_skip) == (0.02, 5)
    assert env.model.opt.timestep * env.frame_skip == pytest.approx(env.dt)
    observation, info = env.reset(seed=0)
    np.testing.assert_allclose(env.data.qpos, env.arm_cfg.unpack(observation).q_ref_rad, atol=1e-6)
    assert set(info["dynamics"]) == set(Task.nominal(arm).params)
    *_, info = env.step(np.zeros(env.action_space.shape))
    assert "dynamics" not in info
    assert env.data.time == pytest.approx(0.02)


def test_info_names_the_terms_of_the_reward(arm):
    env = gym.make(IDS[arm])
    env.reset(seed=0)
    for k in range(100):
        _, reward, _, truncated, info = env.step(np.full(env.action_space.shape, 0.1, np.float32))
        assert reward == pytest.approx(info["reward_tracking"] + info["reward_action"])
        assert -0.05 <= reward <= 1.0
        assert truncated == (k == 99)
        assert ("success" in info) == truncated
    assert type(info["success"]) is bool
    assert info["episode"]["l"] == 100


def test_previous_action_is_seen_and_forgotten_at_reset(arm):
    env = gym.make(IDS[arm]).unwrapped
    env.reset(seed=0)
    action = np.linspace(-0.2, 0.3, env.arm_cfg.n_joints).astype(np.float32)
    for _ in range(100):
        observation, *_ = env.step(action)
        np.testing.assert_array_equal(env.arm_cfg.unpack(observation).prev_action, action)
    np.testing.assert_array_equal(env.arm_cfg.unpack(env.reset()[0]).prev_action, 0.0)


def test_actions_beyond_one_are_cut(arm):
    one, two = gym.make(IDS[arm]).unwrapped, gym.make(IDS[arm]).unwrapped
    for env in (one, two):
        env.reset(seed=0)
    np.testing.assert_array_equal(
        one.step(np.full(one.action_space.shape, 5.0))[0], two.step(np.ones(two.action_space.shape))[0]
    )


def test_wrong_input_is_named():
    env = gym.make(IDS["planar"]).unwrapped
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(2))
    env.reset(seed=0)
    for bad, message in (([0.0, np.nan], "finite, not nan"), ([0.0, np.inf], "finite, not inf"), ([0.0], "shape")):
        with pytest.raises(ValueError, match=message):
            env.step(np.array(bad))
    with pytest.raises(ValueError, match="unknown option 'tasks'"):
        env.reset(options={"tasks": None})
    with pytest.raises(ValueError, match="not a task of arm 'planar'"):
        env.set_task({"payload_kg": 1.0})
    with pytest.raises(ValueError, match=r"unknown render_mode 'human'; choose from \[None, 'rgb_array'\]"):
        ArmEnv(render_mode="human")
    for _ in range(100):
        env.step(np.zeros(2))
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(2))
