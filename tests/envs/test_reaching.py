"""The reaching world: checkers, one arm and many, where goals lie, what is sensed and earned, and the delay."""

import itertools
import warnings

import gymnasium as gym
import mujoco
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from envs.bodies import model_fields, write_model
from envs.kinematics import first_joint_m, inverse_kinematics, links_of, tip_jacobian, tip_position
from envs.models import ARMS, compile_arm
from envs.reaching import REACH, Reaching, reaching_arm
from envs.tasks import Task, sample_tasks
from envs.workspace import Workspace

IDS = {name: f"envs:PhaseArm/{name.capitalize()}Reach-v0" for name in ARMS}
SAME_STEP = {"autoreset_mode": AutoresetMode.SAME_STEP}


@pytest.fixture(params=sorted(ARMS))
def arm(request):
    return request.param


def many(arm, n=4, **options):
    return gym.make_vec(IDS[arm], num_envs=n, **options)


def run(env, n_steps, seed, size=0.4):
    rng = np.random.default_rng(0)
    said = [env.reset(seed=seed)]
    for _ in range(n_steps):
        said.append(env.step(rng.uniform(-size, size, env.action_space.shape).astype(np.float32)))
    return said


def assert_same(one, other):
    if isinstance(one, dict):
        assert set(one) == set(other)
        return [assert_same(one[key], other[key]) for key in one]
    one, other = np.asarray(one), np.asarray(other)
    if one.dtype == object:
        return [assert_same(a, b) for a, b in zip(one, other, strict=True)]
    return np.testing.assert_array_equal(one, other)


def assert_same_runs(one, other):
    for a, b in zip(one, other, strict=True):
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)


def test_both_checkers_pass(arm):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*not within the observation space bounds.*")
        check_env(gym.make(IDS[arm]).unwrapped, skip_render_check=True)
    check_env_sb3(gym.make(IDS[arm]).unwrapped, warn=False)


@pytest.mark.parametrize("band", ["in_range", "hard"])
def test_vector_equals_single_arms_over_episodes_with_autoreset(arm, band):
    options = {"band": band, "split": "test"}
    vector = many(arm, **options)
    single = many(arm, **options, vectorization_mode="sync", vector_kwargs=SAME_STEP)
    assert vector.observation_space == single.observation_space
    assert_same_runs(run(vector, 110, seed=7), run(single, 110, seed=7))


def test_spawned_workers_give_the_same_numbers():
    workers = many("planar", 2, vectorization_mode="async", vector_kwargs={"context": "spawn", **SAME_STEP})
    try:
        for a, b in zip(run(workers, 55, seed=3), run(many("planar", 2), 55, seed=3), strict=True):
            np.testing.assert_array_equal(a[0], b[0])
    finally:
        workers.close()


def test_same_seed_same_run_other_seed_other_run(arm):
    one, two, other = (run(gym.make(IDS[arm]), 50, seed) for seed in (3, 3, 4))
    assert_same_runs(one, two)
    assert not np.array_equal(one[0][0], other[0][0])


def test_observations_stay_within_bounds_and_have_their_parts(arm):
    env = gym.make(IDS[arm])
    cfg, places = env.unwrapped.arm_cfg, 2 if arm == "planar" else 3
    assert (cfg.dt_s, cfg.frame_skip, env.unwrapped.dt, env.metadata["render_fps"]) == (0.04, 10, 0.04, 25)
    for observation, *_ in run(env, 50, 0, size=1.0):
        assert env.observation_space.contains(observation)
    parts = env.unwrapped.unpack(torch.from_numpy(observation))
    assert parts._fields == ("q_rad", "qd_rad_s", "goal_m", "tip_m", "prev_action")
    joints = cfg.n_joints
    assert [part.shape[0] for part in parts] == [joints, joints, places, places, joints]
    np.testing.assert_array_equal(torch.cat(tuple(parts)), observation)
    with pytest.raises(ValueError, match=f"of reaching has {len(observation)} numbers, not 3"):
        env.unwrapped.unpack(np.zeros(3))
    with pytest.raises(ValueError, match="of tracking has"):
        cfg.unpack(observation)


def test_only_the_tip_tells_of_the_body_at_first_and_goals_do_not_depend_on_actions(arm):
    env = gym.make(IDS[arm]).unwrapped
    first, later = [], []
    for task, size in ((Task.nominal(arm), 0.0), (env.sample_tasks(1, band="hard", seed=0)[0], 0.3)):
        first.append(env.unpack(env.reset(seed=9, options={"task": task})[0]))
        for _ in range(50):
            env.step(np.full(env.action_space.shape, size))
        later.append(env.unpack(env.reset()[0]))
    for seen in (first, later):
        for name in ("q_rad", "qd_rad_s", "goal_m", "prev_action"):
            np.testing.assert_array_equal(getattr(seen[0], name), getattr(seen[1], name))
    assert not np.array_equal(first[0].goal_m, later[0].goal_m)


# Where the tip is, and where goals lie


def test_tips_and_their_slopes_are_mujocos(arm):
    cfg = reaching_arm(ARMS[arm])
    tasks = sample_tasks(cfg, 6, "in_range", "train", np.random.default_rng(0))
    q = np.random.default_rng(1).uniform(cfg.q_min_rad, cfg.q_max_rad, (6, cfg.n_joints))
    tip, slope = tip_jacobian(links_of(cfg, tasks), q)
    np.testing.assert_array_equal(tip, tip_position(links_of(cfg, tasks), q))
    model = compile_arm(cfg)
    data, jacobian = mujoco.MjData(model), np.empty((3, model.nv))
    for i, task in enumerate(tasks):
        write_model(model, data, model_fields(cfg, [task]))
        data.qpos[:] = q[i]
        mujoco.mj_forward(model, data)
        np.testing.assert_allclose(tip[i] + first_joint_m(cfg), data.site("tip").xpos, atol=1e-12)
        mujoco.mj_jacSite(model, data, jacobian, None, model.site("tip").id)
        np.testing.assert_allclose(slope[i], jacobian, atol=1e-12)


def test_every_body_reaches_every_goal(arm):
    """The bodies are those whose links are all as long or as short as any: the corners of the box of lengths."""
    cfg, rng = ARMS[arm], np.random.default_rng(0)
    corners = list(itertools.product((0.9, 1.1), repeat=cfg.n_joints))
    tasks = [Task(arm, {"link_length_scale": corner}) for corner in corners] * (64 // len(corners))
    goals = cfg.workspace.places(rng.random((len(tasks), 3)))
    edges = cfg.workspace.places(rng.integers(0, 2, (len(tasks), 3)).astype(float))  # the corners of the workspace
    for goal in (goals, edges):
        q, left = inverse_kinematics(cfg, goal, np.zeros((len(tasks), cfg.n_joints)), tasks)
        assert left.max() < 2e-3
        assert ((q >= np.array(cfg.q_min_rad)) & (q <= np.array(cfg.q_max_rad))).all()


def test_goals_are_clear_of_floor_and_base_and_fill_the_workspace(arm):
    cfg = ARMS[arm]
    place = cfg.workspace.places(np.random.default_rng(0).random((4000, 3)))
    assert (place[:, -1] + first_joint_m(cfg)[2]).min() > 0.25
    if arm == "scorbot":
        assert np.hypot(place[:, 0], place[:, 1]).min() > 0.2  # the pedestal has .16 m, and ends at .5 m
    distance = np.linalg.norm(place - np.array(cfg.workspace.centre_m)[list(cfg.workspace.axes)], axis=1)
    low, high = cfg.workspace.radius_m
    dims = len(cfg.workspace.axes)
    # even in area or volume: half of them beyond the radius that halves it
    half = ((low**dims + high**dims) / 2) ** (1 / dims)
    assert np.mean(distance > half) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(4000))


def test_wrong_workspaces_and_shapes_are_named():
    with pytest.raises(ValueError, match=r"axes must be .* not \(0, 1\)"):
        Workspace((0, 1), (0.1, 0.2), (0.0, 1.0))
    with pytest.raises(ValueError, match=r"radius_m must be a range, low then high, not \(0.3, 0.2\)"):
        Workspace((0, 2), (0.3, 0.2), (0.0, 1.0))
    with pytest.raises(ValueError, match="do not fit each other"):
        inverse_kinematics(ARMS["planar"], np.zeros((3, 2)), np.zeros((2, 2)))


# Sensors and scores


def test_the_camera_rounds_and_errs_as_named(arm):
    n, cfg = 300, reaching_arm(ARMS[arm])
    world = Reaching(cfg, n)
    tasks = sample_tasks(cfg, n, "in_range", "train", np.random.default_rng(0))
    q, qd = world.begin(np.arange(n), [np.random.default_rng(i) for i in range(n)], tasks)
    seen = world.unpack(world.observe(q, qd).astype(np.float64))
    np.testing.assert_allclose(seen.tip_m / 0.001, np.round(seen.tip_m / 0.001), atol=1e-3)
    error = seen.tip_m - tip_position(links_of(cfg, tasks), q)[:, list(cfg.workspace.axes)]
    # noise of .002 m and rounding of .001 m: sqrt(.002^2 + .001^2 / 12) = .00202 m
    assert error.std() == pytest.approx(0.00202, rel=0.1)
    assert (seen.qd_rad_s - qd).std() == pytest.approx(0.005, rel=0.1)
    assert (
        np.abs(q - (np.array(cfg.q_min_rad) + cfg.q_max_rad) / 2) <= 0.25 * np.ptp([cfg.q_min_rad, cfg.q_max_rad])
    ).all()


def test_reward_and_error_worked_example():
    world = Reaching(reaching_arm(ARMS["planar"]), 1)
    world.begin(np.arange(1), [np.random.default_rng(0)], [Task.nominal("planar")])
    world._goal[...] = [1.0, 0.0]  # the stretched arm's tip is at (1, 0); lifted by a right angle, at (0, 1)
    total = 0.0
    for k in range(REACH.n_steps):
        angle = np.pi / 2 if k < 44 else 0.08  # in the last six steps 2 sin .04 = .07998 m off
        reward, terms = world.advance(np.array([[angle, 0.0]]), np.array([[1.0, -0.5]]))
        distance = np.sqrt(2.0) if k < 44 else 2 * np.sin(0.04)
        assert terms["tip_distance_m"][0] == pytest.approx(distance)
        # action: .05 x (1 + .25) / 2 = .03125
        expected = -distance + np.exp(-((distance / 0.1) ** 2)) - 0.03125
        assert reward[0] == pytest.approx(expected)
        assert reward[0] == pytest.approx(sum(terms[name][0] for name in terms if name.startswith("reward")))
        total += reward[0]
    summary = world.summary()
    assert world.done.all()
    assert summary["tip_m"][0] == pytest.approx((6 * np.sqrt(2.0) + 6 * 2 * np.sin(0.04)) / 12)
    assert summary["episode"]["r"][0] == pytest.approx(total)
    assert summary["episode"]["l"][0] == 50


@pytest.mark.parametrize(("off", "success"), [(0.049, True), (0.051, False)])
def test_success_is_staying_within_five_centimetres_for_half_a_second(off, success):
    world = Reaching(reaching_arm(ARMS["planar"]), 1)
    world.begin(np.arange(1), [np.random.default_rng(0)], [Task.nominal("planar")])
    for k in range(REACH.n_steps):
        distance = 0.3 if k < 38 else off if k == 45 else 0.01  # the last 12 steps are 38 to 49
        world._goal[...] = [1.0 + distance, 0.0]
        world.advance(np.zeros((1, 2)), np.zeros((1, 2)))
    assert bool(world.summary()["success"][0]) is success


def test_info_of_an_episode(arm):
    env = many(arm, 2)
    for k, (_, reward, _, truncated, info) in enumerate(run(env, 50, 0)[1:]):
        last = info["final_info"] if k == 49 else info
        terms = last["reward_distance"] + last["reward_near"] + last["reward_action"]
        np.testing.assert_allclose(reward, terms)
        np.testing.assert_allclose(last["tip_distance_m"], -last["reward_distance"])
        assert truncated.all() == (k == 49)
    assert last["success"].dtype == bool
    assert (last["episode"]["l"] == 50).all()
    assert last["tip_m"].shape == (2,)


@pytest.mark.parametrize("delay", [0, 1, 2])
def test_delay_is_whole_control_steps_to_the_bit(arm, delay):
    cfg, bodies = reaching_arm(ARMS[arm]), []
    for steps in (delay, 0):
        model = compile_arm(cfg)
        bodies.append((model, mujoco.MjData(model)))
        write_model(*bodies[-1], model_fields(cfg, [Task(arm, {"action_delay_steps": steps})]))
    (late, late_data), (prompt, prompt_data) = bodies
    actions = np.random.default_rng(1).uniform(-0.2, 0.2, (150, cfg.n_joints))
    for k, action in enumerate(actions):
        late_data.ctrl[:] = action
        prompt_data.ctrl[:] = actions[k - delay] if k >= delay else 0.0
        mujoco.mj_step(late, late_data, cfg.frame_skip)
        mujoco.mj_step(prompt, prompt_data, cfg.frame_skip)
        np.testing.assert_array_equal(late_data.qpos, prompt_data.qpos)


def test_goal_and_tip_are_drawn(arm, monkeypatch):
    monkeypatch.setenv("PHASEARM_RENDER", "software")
    env = gym.make(IDS[arm], render_mode="rgb_array", width=160, height=120).unwrapped
    env.reset(seed=1001)
    frame = env.render()
    plain = env._renderer.render(env.data)
    marks = env._world.marks()
    changed = np.argwhere(np.abs(frame.astype(int) - plain).max(axis=-1) > 20)
    np.testing.assert_allclose(marks["tip_m"], env.data.site("tip").xpos, atol=1e-9)
    from envs.camera import camera_of

    places, _ = camera_of(env.model, env.data, 0, 160, 120).project(np.stack(list(marks.values())))
    near = np.abs(changed[:, None, ::-1] - places).max(axis=-1).min(axis=-1)
    assert len(changed) > 10
    assert near.max() < 6.0  # nothing else has changed
    env.close()
