"""The batch of many bodies is MuJoCo's own loop, bit for bit, and what a task says is what the model has."""

import gymnasium as gym
import mujoco
import numpy as np
import pytest

from envs.bodies import model_fields, write_model
from envs.models import ARMS, SHAPE_FIELDS, compile_arm, shape_fields
from envs.tasks import Task

IDS = {name: f"envs:PhaseArm/{name.capitalize()}Track-v0" for name in ARMS}
N_ARMS, N_STEPS = 8, 60


@pytest.fixture(params=sorted(ARMS))
def arm(request):
    return request.param


def written(task):
    cfg = ARMS[task.arm]
    model = compile_arm(cfg)
    data = mujoco.MjData(model)
    write_model(model, data, model_fields(cfg, [task]))
    return model, data


@pytest.mark.parametrize("nthread", [1, 2])
def test_vector_rollout_is_the_plain_loop(arm, nthread):
    env = gym.make_vec(IDS[arm], num_envs=N_ARMS, band="hard", nthread=nthread).unwrapped
    env.reset(seed=3)
    assert len({task.params["link_length_scale"] for task in env.tasks}) == N_ARMS
    assert {task.params["action_delay_steps"] for task in env.tasks} == {0, 1, 2}
    models, datas = [env.get_model(i) for i in range(N_ARMS)], [env.get_data(i) for i in range(N_ARMS)]
    starts = [(data.qpos.copy(), data.qvel.copy()) for data in datas]
    actions = np.random.default_rng(0).uniform(-0.4, 0.4, (N_STEPS, N_ARMS, env.arm_cfg.n_joints))
    path = []
    for action in actions:
        env.step(action)
        path.append(env.call("data"))
    for i, (model, (qpos, qvel)) in enumerate(zip(models, starts, strict=True)):
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:] = qpos, qvel
        for k in range(N_STEPS):
            data.ctrl[:] = actions[k, i]
            for _ in range(env.frame_skip):
                mujoco.mj_step(model, data)
            np.testing.assert_array_equal(data.qpos, path[k][i].qpos)
            np.testing.assert_array_equal(data.qvel, path[k][i].qvel)


def test_model_of_one_arm_of_many_is_the_model_written_for_its_task(arm):
    env = gym.make_vec(IDS[arm], num_envs=4, band="hard").unwrapped
    env.reset(seed=0)
    for i, task in enumerate(env.tasks):
        ours, _ = written(task)
        theirs = env.get_model(i)
        for name in dir(ours):
            value = getattr(ours, name)
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(value, getattr(theirs, name), err_msg=name)
        np.testing.assert_array_equal(ours.opt.gravity, theirs.opt.gravity)


def test_shape_fields_hold_everything_that_length_changes(arm):
    cfg = ARMS[arm]
    rng = np.random.default_rng(0)
    for _ in range(3):
        scale = tuple(rng.uniform(0.9, 1.1, cfg.n_joints))
        compiled, written_over = compile_arm(cfg, scale), compile_arm(cfg)
        for name in SHAPE_FIELDS:
            getattr(written_over, name)[...] = shape_fields(arm, scale)[name]
        data = mujoco.MjData(written_over)
        mujoco.mj_setConst(written_over, data)
        for name in dir(compiled):
            value = getattr(compiled, name)
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                other = getattr(written_over, name)
                np.testing.assert_allclose(value, other, rtol=1e-12, atol=1e-12, err_msg=name)


def test_a_body_follows_from_the_nominal_one_not_from_the_last(arm):
    cfg = ARMS[arm]
    heavy = Task(
        arm, {"payload_kg": 1.0, "link_mass_scale": [1.2] * cfg.n_joints, "actuator_gain": [0.5] * cfg.n_joints}
    )
    light = Task(arm, {"link_mass_scale": [0.8] * cfg.n_joints})
    model, data = written(heavy)
    for task in (light, heavy, light):
        write_model(model, data, model_fields(cfg, [task]))
    np.testing.assert_array_equal(model.body_mass, written(light)[0].body_mass)
    links = [model.body(f"link{k + 1}").id for k in range(cfg.n_joints)]
    np.testing.assert_allclose(model.body_mass[links], 0.8 * compile_arm(cfg).body_mass[links])
    np.testing.assert_allclose(model.body_inertia[links], 0.8 * compile_arm(cfg).body_inertia[links])
    np.testing.assert_allclose(model.actuator_gainprm[:, 0], cfg.torque_max_nm)


@pytest.mark.parametrize("delay", [0, 1, 2])
def test_delay_is_whole_control_steps_to_the_bit(arm, delay):
    cfg = ARMS[arm]
    late, late_data = written(Task(arm, {"action_delay_steps": delay}))
    prompt, prompt_data = written(Task(arm, {}))
    actions = np.random.default_rng(1).uniform(-0.2, 0.2, (300, cfg.n_joints))
    for k, action in enumerate(actions):
        late_data.ctrl[:] = action
        prompt_data.ctrl[:] = actions[k - delay] if k >= delay else 0.0
        mujoco.mj_step(late, late_data, cfg.frame_skip)
        mujoco.mj_step(prompt, prompt_data, cfg.frame_skip)
        np.testing.assert_array_equal(late_data.qpos, prompt_data.qpos)


def test_payload_hangs_at_the_tip(arm):
    model, data = written(Task(arm, {"payload_kg": 1.0}))
    data.qpos[:] = 0.4
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(data.xipos[model.body("payload").id], data.site("tip").xpos, atol=1e-12)
    assert model.body("payload").mass[0] == 1.0
    # a ball of 1,500 kg/m3: r = (3 x 1 / (4 pi 1500))^(1/3) = .0542 m
    assert model.geom("payload").size[0] == pytest.approx(0.0542, abs=1e-4)


def test_gravity_leans_by_the_tilt():
    model, _ = written(Task("planar", {"gravity_tilt_rad": 0.1, "gravity_heading_rad": np.pi / 2}))
    # 9.81 x (0, sin .1, -cos .1)
    np.testing.assert_allclose(model.opt.gravity, [0.0, 0.97937, -9.76099], atol=1e-5)
