"""Stable-Baselines3 meets many arms as it meets its own environments, and learns on them."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from agents.baselines.sb3 import ArmVecEnv, make_vec_env
from agents.episodes import make_arms
from envs.tasks import Task

IDS = {name: f"envs:PhaseArm/{name.capitalize()}Track-v0" for name in ("planar", "scorbot")}
N_ARMS, N_STEPS = 3, 100


@pytest.fixture(params=sorted(IDS))
def arm(request):
    return request.param


@pytest.fixture
def one_torch_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def begun(arm, seed=5, n_arms=N_ARMS):
    env = make_vec_env(IDS[arm], n_arms, nthread=1)
    env.seed(seed)
    return env, env.reset()


def actions_of(env, n_steps):
    shape = (n_steps, env.num_envs, *env.action_space.shape)
    return np.random.default_rng(0).uniform(-0.4, 0.4, shape).astype(np.float32)


def test_an_episode_ends_as_in_the_vector_environment_itself(arm):
    ours, first = begun(arm)
    plain = make_arms(IDS[arm], N_ARMS, nthread=1)
    np.testing.assert_array_equal(first, plain.reset(seed=5)[0])
    rewards = []
    for k, action in enumerate(actions_of(ours, 2 * N_STEPS)):
        observation, reward, done, infos = ours.step(action)
        expected, expected_reward, _, truncated, info = plain.step(action)
        np.testing.assert_array_equal(observation, expected)
        np.testing.assert_array_equal(done, truncated)
        np.testing.assert_allclose(reward, expected_reward, rtol=1e-6)
        rewards.append(reward)
        assert done.all() == done.any() == ((k + 1) % N_STEPS == 0)
        if not done.any():
            assert infos == [{}] * N_ARMS
            continue
        for i, row in enumerate(infos):
            np.testing.assert_array_equal(row["terminal_observation"], info["final_obs"][i])
            assert not np.array_equal(row["terminal_observation"], observation[i])
            assert row["TimeLimit.truncated"] is True
            assert row["episode"]["l"] == N_STEPS
            assert row["episode"]["r"] == pytest.approx(np.sum(rewards[-N_STEPS:], axis=0)[i], rel=1e-5)
            assert row["rmse_rad"] == info["final_info"]["rmse_rad"][i]
            assert row["is_success"] is row["success"] is bool(info["final_info"]["success"][i])
            assert ours.reset_infos[i]["dynamics"]["payload_kg"] == info["dynamics"]["payload_kg"][i]


def test_it_is_stable_baselines_own_vec_env_of_single_arms(arm):
    ours, first = begun(arm)
    theirs = DummyVecEnv([lambda: gym.make(IDS[arm])] * N_ARMS)
    theirs.seed(5)
    np.testing.assert_array_equal(first, theirs.reset())
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    for action in actions_of(ours, N_STEPS + 5):
        pair = [env.step(action) for env in (ours, theirs)]
        for one, other in zip(pair[0][:3], pair[1][:3], strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
        for one, other in zip(pair[0][3], pair[1][3], strict=True):
            assert one.get("TimeLimit.truncated", False) == other["TimeLimit.truncated"]
            if "terminal_observation" in other:
                np.testing.assert_array_equal(one["terminal_observation"], other["terminal_observation"])
                assert (one["episode"], one["success"]) == (other["episode"], other["success"])


def test_seeds_reproduce_and_are_used_once():
    runs = []
    for seed in (1, 1, 2):
        env, first = begun("planar", seed)
        runs.append([first] + [env.step(action)[0] for action in actions_of(env, 105)] + [env.reset()])
    for one, other in zip(runs[0], runs[1], strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(runs[0][0], runs[2][0])
    assert not np.array_equal(runs[0][0], runs[0][-1])  # a reset without a seed goes on to new numbers


def test_options_reach_the_next_reset_once(arm):
    env, _ = begun(arm)
    tasks = env.env_method("sample_tasks", N_ARMS, seed=3)[0]
    env.set_options([{"task": task} for task in tasks])
    env.reset()
    assert env.get_attr("task") == tasks
    env.set_options({"task": None})
    env.reset()
    assert not set(env.get_attr("task")) & set(tasks)
    env.set_options([{"task": tasks[0]}, {}, {}])
    with pytest.raises(ValueError, match="every arm takes the same options"):
        env.reset()


def test_attributes_and_methods(arm):
    env, _ = begun(arm)
    assert [cfg.name for cfg in env.get_attr("arm_cfg", indices=[0, 2])] == [arm, arm]
    assert env.get_attr("dt", indices=1) == [0.02]
    assert env.has_attr("frame_skip")
    assert not env.has_attr("wings")
    assert env.env_is_wrapped(gym.Wrapper) == [False] * N_ARMS
    heavy, nominal = Task(arm, {"payload_kg": 1.0}), Task.nominal(arm)
    env.set_attr("task", heavy)
    env.reset()
    assert env.get_attr("task") == [heavy] * N_ARMS
    assert env.env_method("set_task", nominal) == [None] * N_ARMS
    env.reset()
    assert env.get_attr("task", indices=[2]) == [nominal]
    env.env_method("set_task", None)
    env.set_attr("band", "hard")
    env.reset()
    assert {task.band for task in env.get_attr("task")} == {"hard"}
    for change in (
        lambda: env.set_attr("task", heavy, indices=[0]),
        lambda: env.env_method("set_task", heavy, indices=0),
    ):
        with pytest.raises(ValueError, match="on all 3 of them"):
            change()


def test_another_autoreset_mode_is_refused():
    arms = gym.make_vec(IDS["planar"], num_envs=2, vectorization_mode="sync")
    with pytest.raises(ValueError, match=r"choose from \[AutoresetMode.SAME_STEP\]"):
        ArmVecEnv(arms)


def test_monitor_and_normalizer_wrap_it(arm):
    inner, _ = begun(arm)
    env = VecNormalize(VecMonitor(inner), clip_obs=5.0)
    env.seed(5)
    assert np.abs(env.reset()).max() <= 5.0
    for action in actions_of(env, N_STEPS):
        *_, infos = env.step(action)
    for row in infos:
        assert row["episode"]["l"] == N_STEPS
        assert np.abs(row["terminal_observation"]).max() <= 5.0
    raw = [row["terminal_observation"] * np.sqrt(env.obs_rms.var + env.epsilon) + env.obs_rms.mean for row in infos]
    inside = np.abs([row["terminal_observation"] for row in infos]) < 5.0
    replay, _ = begun(arm)
    for action in actions_of(replay, N_STEPS):
        *_, plain = replay.step(action)
    plain = np.array([row["terminal_observation"] for row in plain])
    np.testing.assert_allclose(np.array(raw)[inside], plain[inside], atol=1e-4)


def learner(env, **options):
    return PPO("MlpPolicy", env, batch_size=800, gamma=0.95, learning_rate=1e-3, seed=0, device="cpu", **options)


def test_ppo_trains_on_both_arms(arm, one_torch_thread):
    env, _ = begun(arm, n_arms=16)
    model = learner(env, n_steps=100, n_epochs=2)
    before = [value.clone() for value in model.policy.parameters()]
    model.learn(3200)
    assert model.num_timesteps == 3200
    assert len(model.ep_info_buffer) == 2 * 16
    assert all(torch.isfinite(value).all() for value in model.policy.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, model.policy.parameters(), strict=True))


def test_ppo_learns_to_track(one_torch_thread):
    """A return of 100 would be tracking without error or effort; untrained, the planar arm falls and earns about 7."""

    def earned(model):
        env = VecMonitor(begun("planar", seed=1000, n_arms=64)[0])
        return evaluate_policy(model, env, n_eval_episodes=64)[0]

    env, _ = begun("planar", n_arms=16)
    model = learner(env, n_steps=100)
    before = earned(model)
    model.learn(60_000)
    assert earned(model) > before + 4.0  # four seeds gained 6 to 15
