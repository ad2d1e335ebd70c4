"""Many arms are as many single arms, and keep Gymnasium's conventions."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from envs.models import ARMS
from envs.tasks import Task

IDS = {name: f"envs:PhaseArm/{name.capitalize()}Track-v0" for name in ARMS}
SAME_STEP = {"autoreset_mode": AutoresetMode.SAME_STEP}


@pytest.fixture(params=sorted(ARMS))
def arm(request):
    return request.param


def many(arm, n=4, **options):
    return gym.make_vec(IDS[arm], num_envs=n, **options)


def act(env, rng, size=0.4):
    return rng.uniform(-size, size, env.action_space.shape).astype(np.float32)


def assert_same(one, other):
    if isinstance(one, dict):
        assert set(one) == set(other)
        for key in one:
            assert_same(one[key], other[key])
    elif one.dtype == object:
        for a, b in zip(one, other, strict=True):
            assert (a is None) == (b is None)
            assert a is None or (a.dtype == b.dtype and np.array_equal(a, b))
    else:
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def run(env, n_steps, seed):
    """Return everything an environment says over a run of random actions."""
    rng = np.random.default_rng(0)
    said = [env.reset(seed=seed)]
    said += [env.step(act(env, rng)) for _ in range(n_steps)]
    return said


def assert_same_runs(one, other):
    for a, b in zip(one, other, strict=True):
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)


@pytest.mark.parametrize("band", ["in_range", "hard"])
def test_vector_equals_single_arms_over_episodes_with_autoreset(arm, band):
    vector = many(arm, band=band, split="test")
    single = many(arm, band=band, split="test", vectorization_mode="sync", vector_kwargs=SAME_STEP)
    assert vector.metadata["autoreset_mode"] == single.metadata["autoreset_mode"]
    assert vector.observation_space == single.observation_space
    assert vector.action_space == single.action_space
    assert_same_runs(run(vector, 320, seed=7), run(single, 320, seed=7))


def test_reset_mask_equals_single_arms(arm):
    vector = many(arm)
    single = many(arm, vectorization_mode="sync", vector_kwargs=SAME_STEP)
    rng, mask = np.random.default_rng(0), np.array([True, False, False, True])
    for env in (vector, single):
        env.reset(seed=[5, 6, 7, 8])
    for k in range(130):
        action = act(vector, rng)
        for a, b in zip(vector.step(action), single.step(action), strict=True):
            assert_same(a, b)
        if k == 40:
            pair = [env.reset(seed=[1, 2, None, None], options={"reset_mask": mask.copy()}) for env in (vector, single)]
            assert_same(pair[0][0], pair[1][0])
            assert_same(pair[0][1], pair[1][1])


def test_threads_do_not_change_the_numbers(arm):
    assert_same_runs(*(run(many(arm, 5, nthread=n), 120, seed=2) for n in (1, 2)))


def test_spawned_workers_give_the_same_numbers():
    kwargs = {"context": "spawn", **SAME_STEP}
    workers = many("planar", 2, vectorization_mode="async", vector_kwargs=kwargs)
    try:
        rng = np.random.default_rng(0)
        vector = many("planar", 2)
        assert_same(workers.reset(seed=3)[0], vector.reset(seed=3)[0])
        for _ in range(105):
            action = act(vector, rng)
            for a, b in zip(workers.step(action)[:4], vector.step(action)[:4], strict=True):
                assert_same(a, b)
    finally:
        workers.close()


def episode_end(env, rng):
    while True:
        _, _, terminated, truncated, info = env.step(act(env, rng))
        assert not terminated.any()
        if truncated.any():
            return info


def test_set_tasks_hold_across_autoresets_until_none_returns_to_drawing(arm):
    env, rng = many(arm, 3), np.random.default_rng(0)
    tasks = env.unwrapped.sample_tasks(3, band="mild", split="test", seed=4)
    env.reset(seed=0)
    drawn = env.unwrapped.tasks
    env.unwrapped.set_tasks(tasks)
    assert env.unwrapped.tasks == drawn  # no body changes within an episode
    for _ in range(2):
        info = episode_end(env, rng)
        assert env.unwrapped.tasks == tasks
        np.testing.assert_array_equal(info["dynamics"]["payload_kg"], [task.params["payload_kg"] for task in tasks])
    env.unwrapped.set_tasks([tasks[0], None, None])
    episode_end(env, rng)
    assert env.unwrapped.tasks[0] == tasks[0]
    assert not set(env.unwrapped.tasks[1:]) & set(tasks)
    env.unwrapped.set_tasks(None)
    episode_end(env, rng)
    fresh = env.unwrapped.tasks
    assert not set(fresh) & set(tasks)
    assert {(task.band, task.split) for task in fresh} == {("in_range", "train")}


def test_tasks_through_reset_options(arm):
    env = many(arm, 2)
    one, two, three = env.unwrapped.sample_tasks(3, seed=1)
    env.reset(seed=0, options={"task": [one, two]})
    assert env.unwrapped.tasks == [one, two]
    env.reset(options={"task": [three, three], "reset_mask": np.array([False, True])})
    assert env.unwrapped.tasks == [one, three]
    env.reset()
    assert env.unwrapped.tasks == [one, three]
    env.reset(options={"task": None})
    assert not set(env.unwrapped.tasks) & {one, two, three}


def test_final_info_tells_success_and_the_episode(arm):
    env = many(arm, 3)
    env.reset(seed=0)
    final = episode_end(env, np.random.default_rng(0))["final_info"]
    assert final["success"].dtype == bool
    assert final["rmse_rad"].shape == (3,)
    np.testing.assert_array_equal(final["episode"]["l"], 100)
    assert final["_success"].all()


def test_calls_and_attributes_are_one_an_arm(arm):
    env = many(arm, 2).unwrapped
    env.reset(seed=0)
    assert env.get_attr("arm_cfg") == (ARMS[arm], ARMS[arm])
    assert len(env.call("sample_tasks", 2, seed=0)) == 2
    assert list(env.get_attr("task")) == env.tasks
    task = Task.nominal(arm)
    env.set_attr("task", [task, None])
    env.set_attr("band", "hard")
    env.reset()
    assert env.tasks[0] == task
    assert env.tasks[1].band == "hard"
    env.call("set_task", task)
    env.reset()
    assert env.tasks == [task, task]
    with pytest.raises(ValueError, match="cannot set 'gravity'"):
        env.set_attr("gravity", 3.0)
    with pytest.raises(AttributeError):
        env.call("fly")


def test_returned_arrays_are_fresh(arm):
    env = many(arm, 2)
    first, _ = env.reset(seed=0)
    kept = first.copy()
    second, *_ = env.step(np.zeros(env.action_space.shape, np.float32))
    np.testing.assert_array_equal(first, kept)
    second[...] = 7.0
    assert not (env.step(np.zeros(env.action_space.shape, np.float32))[0] == 7.0).any()


def test_wrong_input_is_named():
    env = many("planar", 2)
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="never began"):
        env.reset(options={"reset_mask": np.array([True, False])})
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"shape \(2, 2\), not \(2,\)"):
        env.step(np.zeros(2))
    with pytest.raises(ValueError, match="finite, not nan"):
        env.step(np.array([[0.0, np.nan], [0.0, 0.0]]))
    with pytest.raises(ValueError, match="unknown option 'tasks'"):
        env.reset(options={"tasks": []})
    with pytest.raises(ValueError, match="reset_mask must be"):
        env.reset(options={"reset_mask": np.zeros(2, bool)})
    with pytest.raises(ValueError, match="2 arms take as many tasks, not 1"):
        env.unwrapped.set_tasks([None])
    with pytest.raises(ValueError, match="not a task of arm 'planar'"):
        env.unwrapped.set_tasks([Task.nominal("scorbot"), None])
    with pytest.raises(ValueError, match="2 of them, not 3"):
        env.reset(seed=[1, 2, 3])
    for options, message in (
        ({"band": "easy"}, "unknown band 'easy'"),
        ({"split": "all"}, "unknown split 'all'"),
        ({"num_envs": 0}, "at least 1, not 0"),
        ({"render_mode": "human"}, "unknown render_mode 'human'"),
    ):
        with pytest.raises(ValueError, match=message):
            gym.make_vec(IDS["planar"], **options)
