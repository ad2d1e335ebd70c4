"""Miswired motors: how often, what the physics and the inverse make of them, and where such bodies belong."""

import hashlib
import pickle

import gymnasium as gym
import mujoco
import numpy as np
import pytest

from envs.bodies import model_fields, write_model
from envs.inverse import inverse_dynamics
from envs.models import ARMS, compile_arm
from envs.reaching import reaching_arm
from envs.tasks import Task, make_tasks, sample_tasks
from envs.worlds import arm_in

IDS = {name: f"envs:PhaseArm/{name.capitalize()}Reach-v0" for name in ARMS}

# The published benchmark of reaching: sample_tasks(100, split="test", seed=0). A change makes scores incomparable.
BENCHMARK = {"planar": "3c14f913a07cb54a", "scorbot": "38dfd81b24a119d8"}


@pytest.fixture(params=sorted(ARMS))
def arm(request):
    return request.param


def sample(arm, n, band="in_range", split="train", seed=0):
    return sample_tasks(reaching_arm(ARMS[arm]), n, band, split, np.random.default_rng(seed))


def miswired(arm, reversed_motors, swap, **params):
    return Task(arm, params | {"motor_reversed": reversed_motors, "motor_swap": swap})


def test_benchmark_is_pinned(arm):
    tasks = gym.make(IDS[arm]).unwrapped.sample_tasks(100, split="test", seed=0)
    text = "\n".join(task.to_json() for task in tasks)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == BENCHMARK[arm]


def test_motors_are_reversed_and_swapped_as_often_as_named(arm):
    n, n_joints = 2000, ARMS[arm].n_joints
    tasks = sample(arm, n)
    share = np.mean([task.params["motor_reversed"] for task in tasks], axis=0)
    np.testing.assert_allclose(share, 0.5, atol=4 * 0.5 / np.sqrt(n))
    swap = np.array([task.params["motor_swap"] for task in tasks])
    assert np.mean(swap >= 0) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(n))
    pairs = np.bincount(swap[swap >= 0], minlength=n_joints - 1) / (swap >= 0).sum()
    np.testing.assert_allclose(pairs, 1 / (n_joints - 1), atol=4 * 0.5 / np.sqrt(n / 2))


@pytest.mark.parametrize("band", ["in_range", "mild", "hard"])
def test_bands_splits_and_forms_of_miswired_bodies(arm, band):
    for task in sample(arm, 20, band, "test"):
        assert (task.band, task.split, task.wired) == (band, "test", True)
        for other in (Task.from_json(task.to_json()), pickle.loads(pickle.dumps(task)), Task(arm, task.params)):
            assert (other, other.split) == (task, "test")


def test_without_wiring_bodies_are_those_of_tracking(arm):
    env = gym.make(IDS[arm], wiring=False).unwrapped
    tasks = env.sample_tasks(5, split="test", seed=0)
    assert tasks == sample_tasks(ARMS[arm], 5, "in_range", "test", np.random.default_rng(0))
    _, info = env.reset(seed=0)
    assert not env.task.wired
    assert info["dynamics"]["motor_swap"] == -1
    np.testing.assert_array_equal(info["dynamics"]["motor_reversed"], 0)
    _, info = env.reset(options={"task": miswired(arm, [1] * ARMS[arm].n_joints, 0)})
    assert info["dynamics"]["motor_swap"] == 0


# Physics and inverse


@pytest.mark.parametrize("delay", [0, 2])
def test_a_miswired_body_is_the_right_one_under_other_commands_to_the_bit(delay):
    # swap 1: command 1 drives the motor of joint 2 and the other way round; the motors of joints 0 and 2 are reversed,
    # so that commands (a, b, c, d, e) are torques of (-a, c, -b, d, e)
    arm, cfg = "scorbot", reaching_arm(ARMS["scorbot"])
    body = {"payload_kg": 0.5, "actuator_gain": [0.6, 0.7, 0.8, 0.9, 1.0], "action_delay_steps": delay}
    pair = []
    for task in (Task(arm, body), miswired(arm, [1, 0, 1, 0, 0], 1, **body)):
        model = compile_arm(cfg)
        pair.append((model, mujoco.MjData(model)))
        write_model(*pair[-1], model_fields(cfg, [task]))
    for a, b, c, d, e in np.random.default_rng(0).uniform(-0.3, 0.3, (40, 5)):
        pair[0][1].ctrl[:], pair[1][1].ctrl[:] = (-a, c, -b, d, e), (a, b, c, d, e)
        for model, data in pair:
            mujoco.mj_step(model, data, cfg.frame_skip)
        np.testing.assert_array_equal(pair[0][1].qpos, pair[1][1].qpos)
    assert np.abs(pair[0][1].qpos).max() > 0.1


def test_inverse_dynamics_gives_the_commands_that_mujoco_needs(arm):
    cfg, rng = reaching_arm(ARMS[arm]), np.random.default_rng(1)
    tasks = [*sample(arm, 12, seed=2), Task.nominal(arm)]
    q = rng.uniform(cfg.q_min_rad, cfg.q_max_rad, (13, 3, cfg.n_joints))
    qd, qdd = rng.normal(size=q.shape), 5.0 * rng.normal(size=q.shape)
    action = inverse_dynamics(cfg, q, qd, qdd, tasks)
    model = compile_arm(cfg)
    data = mujoco.MjData(model)
    for i, task in enumerate(tasks):
        write_model(model, data, model_fields(cfg, [task]))
        model.actuator_ctrlrange[:] = (-1e3, 1e3)  # a wanted torque may be beyond what the motor gives
        model.actuator_delay[:] = 0.0
        for k in range(3):
            data.qpos[:], data.qvel[:], data.qacc[:], data.ctrl[:] = q[i, k], qd[i, k], qdd[i, k], action[i, k]
            mujoco.mj_inverse(model, data)
            wanted = data.qfrc_inverse.copy()
            mujoco.mj_fwdActuation(model, data)
            np.testing.assert_allclose(data.qfrc_actuator, wanted, rtol=1e-9, atol=1e-9)
        alone = inverse_dynamics(cfg, q[i], qd[i], qdd[i], task)
        np.testing.assert_allclose(alone, action[i], rtol=1e-12)


def test_one_arm_of_many_has_the_model_written_for_its_task(arm):
    env = gym.make_vec(IDS[arm], num_envs=4).unwrapped
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(55):  # into the second bodies: nothing of the first is left
        env.step(rng.uniform(-0.2, 0.2, env.action_space.shape))
    for i, task in enumerate(env.tasks):
        model = compile_arm(env.arm_cfg)
        write_model(model, mujoco.MjData(model), model_fields(env.arm_cfg, [task]))
        theirs = env.get_model(i)
        for name in dir(model):
            if isinstance(value := getattr(model, name), np.ndarray):
                np.testing.assert_array_equal(value, getattr(theirs, name), err_msg=name)


# What is refused


def test_tracking_has_no_miswired_motors():
    with pytest.raises(ValueError, match="wiring=True: no motor is miswired in tracking"):
        gym.make("envs:PhaseArm/PlanarTrack-v0", wiring=True)
    env = gym.make("envs:PhaseArm/PlanarTrack-v0").unwrapped
    with pytest.raises(ValueError, match="no motor is miswired in this world"):
        env.set_task(miswired("planar", [0, 0], 0))
    with pytest.raises(ValueError, match=r"unknown world 'swim'; choose from \['track', 'reach'\]"):
        arm_in("swim", "planar", None)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"motor_reversed": [2, 0]}, r"motor_reversed must be one of \[0, 1\], not \[2, 0\]"),
        ({"motor_reversed": [0.5, 0]}, r"motor_reversed must be one of \[0, 1\]"),
        ({"motor_reversed": 1}, "takes 2 numbers"),
        ({"motor_swap": 1}, r"motor_swap must be one of \[-1, 0\], not 1"),
        ({"motor_swap": -2}, "at least -1"),
        ({"wires": 1}, "unknown parameter 'wires'; choose from .*motor_swap"),
    ],
)
def test_what_no_wiring_can_be_is_named(params, message):
    with pytest.raises(ValueError, match=message):
        Task("planar", params)


def test_one_of_the_two_given_the_other_is_right():
    assert Task("planar", {"motor_swap": 0}).params["motor_reversed"] == (0, 0)
    assert Task("planar", {"motor_reversed": [1, 0]}).params["motor_swap"] == -1
    assert Task("planar", {"motor_reversed": [1, 0]}).band == "in_range"


def test_uniform_numbers_of_the_body_come_before_those_of_the_wiring(arm):
    cfg = reaching_arm(ARMS[arm])
    uniform = np.random.default_rng(0).random((20, 100))
    for plain, wired in zip(make_tasks(ARMS[arm], "mild", uniform), make_tasks(cfg, "mild", uniform), strict=True):
        assert dict(plain.params).items() <= dict(wired.params).items()
