"""Inverse dynamics against MuJoCo's own, and what they are for: the oracle tracks, the nominal model does not."""

import time

import gymnasium as gym
import mujoco
import numpy as np
import pytest

from envs.bodies import model_fields, write_model
from envs.inverse import inverse_dynamics
from envs.models import ARMS, compile_arm
from envs.tasks import Task, sample_tasks

IDS = {name: f"envs:PhaseArm/{name.capitalize()}Track-v0" for name in ARMS}


@pytest.fixture(params=sorted(ARMS))
def arm(request):
    return request.param


def states(cfg, shape, seed=0):
    rng = np.random.default_rng(seed)
    q = rng.uniform(cfg.q_min_rad, cfg.q_max_rad, (*shape, cfg.n_joints))
    speed = rng.choice([1.5, 0.01, 0.0], size=(*shape, 1))  # also where friction is about to turn
    return q, rng.normal(size=q.shape) * speed, rng.normal(size=q.shape) * 5.0


@pytest.mark.parametrize("band", ["in_range", "mild", "hard"])
def test_equals_mj_inverse_friction_included(arm, band):
    cfg = ARMS[arm]
    tasks = sample_tasks(cfg, 12, band, "train", np.random.default_rng(1))
    q, qd, qdd = states(cfg, (12, 9))
    action = inverse_dynamics(cfg, q, qd, qdd, tasks)
    model = compile_arm(cfg)
    data = mujoco.MjData(model)
    for i, task in enumerate(tasks):
        write_model(model, data, model_fields(cfg, [task]))
        for k in range(9):
            data.qpos[:], data.qvel[:], data.qacc[:] = q[i, k], qd[i, k], qdd[i, k]
            mujoco.mj_inverse(model, data)
            torque = action[i, k] * model.actuator_gainprm[:, 0]
            np.testing.assert_allclose(torque, data.qfrc_inverse, rtol=1e-9, atol=1e-9)


def test_forms_of_the_call_agree(arm):
    cfg = ARMS[arm]
    tasks = sample_tasks(cfg, 3, "mild", "train", np.random.default_rng(2))
    q, qd, qdd = states(cfg, (3, 4, 2))
    many = inverse_dynamics(cfg, q, qd, qdd, tasks)
    assert many.shape == q.shape
    for i, task in enumerate(tasks):
        np.testing.assert_allclose(inverse_dynamics(cfg, q[i], qd[i], qdd[i], task), many[i], rtol=1e-12)
    one = inverse_dynamics(cfg, q[0, 0, 0], qd[0, 0, 0], qdd[0, 0, 0], tasks[0])
    np.testing.assert_allclose(one, many[0, 0, 0], rtol=1e-12)
    nominal = inverse_dynamics(cfg, q, qd, qdd, None)
    np.testing.assert_array_equal(nominal, inverse_dynamics(cfg, q, qd, qdd, Task.nominal(arm)))
    np.testing.assert_allclose(inverse_dynamics(cfg, q, qd, qdd, [None] * 3), nominal, rtol=1e-12)


def test_worked_example():
    # stretched out and still, the bare planar arm holds 9.81 (.25 + .75) = 9.81 and 9.81 x .25 = 2.4525 N m;
    # the shoulder's motor has half its 152 N m
    task = Task("planar", {"actuator_gain": [0.5, 1.0]})
    action = inverse_dynamics(ARMS["planar"], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], task)
    np.testing.assert_allclose(action, [9.81 / 76.0, 2.4525 / 60.0])


def test_wrong_shapes_and_arms_are_named():
    cfg = ARMS["planar"]
    with pytest.raises(ValueError, match=r"must be \(\.\.\., 2\), not \(3,\)"):
        inverse_dynamics(cfg, np.zeros(3), np.zeros(3), np.zeros(3), None)
    with pytest.raises(ValueError, match=r"must be \(2, \.\.\., 2\), not \(3, 2\)"):
        inverse_dynamics(cfg, np.zeros((3, 2)), np.zeros((3, 2)), np.zeros((3, 2)), [None, None])
    with pytest.raises(ValueError, match="scorbot"):
        inverse_dynamics(cfg, np.zeros(2), np.zeros(2), np.zeros(2), Task.nominal("scorbot"))


def test_a_hundred_thousand_samples_in_about_a_second(arm):
    cfg = ARMS[arm]
    tasks = sample_tasks(cfg, 250, "in_range", "train", np.random.default_rng(3))
    q, qd, qdd = states(cfg, (250, 400))
    inverse_dynamics(cfg, q[:, :1], qd[:, :1], qdd[:, :1], tasks)  # compiles the bodies
    start = time.process_time()
    inverse_dynamics(cfg, q, qd, qdd, tasks)
    assert time.process_time() - start < 2.0


def rmse(env, tasks, model_of):
    env.unwrapped.set_tasks(tasks)
    observation, _ = env.reset(seed=1)
    arm = env.unwrapped.arm_cfg
    while True:
        seen = arm.unpack(observation)
        wanted = arm.commanded_acceleration(observation)
        action = env.unwrapped.inverse_dynamics(seen.q_rad, seen.qd_rad_s, wanted, model_of)
        observation, _, _, truncated, info = env.step(action)
        if truncated.all():
            return info["final_info"]["rmse_rad"], info["final_info"]["success"]


def test_oracle_tracks_every_body_in_range_and_the_nominal_model_does_not(arm):
    env = gym.make_vec(IDS[arm], num_envs=200)
    tasks = env.unwrapped.sample_tasks(200, split="test", seed=0)
    oracle, success = rmse(env, tasks, tasks)
    nominal, _ = rmse(env, tasks, None)
    assert success.all()
    assert oracle.max() < 0.1
    assert oracle.mean() < 0.03  # measured .013 (planar), .019 (scorbot)
    assert nominal.mean() > 10 * oracle.mean()  # measured .58, .50
