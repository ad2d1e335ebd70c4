"""The motors hold what they must: worked out from the models alone."""

import mujoco
import numpy as np
import pytest

from envs.bodies import model_fields, write_model
from envs.dynamics import DAMAGE_RANGES, parameters
from envs.models import ARMS, compile_arm
from envs.tasks import Task

STRETCHED = {"planar": [0.0, 0.0], "scorbot": [0.0, np.pi / 2, 0.0, 0.0, 0.0]}  # horizontal
SPARE, WEAKEST = 1.3, DAMAGE_RANGES[0][0]


def heaviest(arm, **more):
    cfg = ARMS[arm]
    top = {parameter.name: parameter.bands[0][1] for parameter in parameters(cfg)}
    lists = {name: [top[name]] * cfg.n_joints for name in ("link_mass_scale", "link_length_scale")}
    task = Task(arm, {"payload_kg": top["payload_kg"], **lists, **more})
    model = compile_arm(cfg)
    data = mujoco.MjData(model)
    write_model(model, data, model_fields(cfg, [task]))
    model.opt.disableflags |= int(
        mujoco.mjtDisableBit.mjDSBL_LIMIT
    )  # level is 5 degrees past the Scorbot's shoulder stop
    data.qpos[:] = STRETCHED[arm]
    return model, data


def holding_torque(arm, **more):
    model, data = heaviest(arm, **more)
    mujoco.mj_inverse(model, data)
    return np.abs(data.qfrc_inverse)


@pytest.mark.parametrize("arm", sorted(ARMS))
def test_weakest_joint_holds_the_heaviest_body_with_30_percent_to_spare(arm):
    strength = np.array(ARMS[arm].torque_max_nm)
    for heading in np.linspace(0.0, 2 * np.pi, 9):
        for tilt in (0.0, np.deg2rad(10.0)):
            torque = holding_torque(arm, gravity_tilt_rad=tilt, gravity_heading_rad=heading)
            assert (strength * WEAKEST >= SPARE * torque).all(), (strength, torque * SPARE / WEAKEST)


def test_planar_strength_by_hand():
    # links 1.2 kg, .55 m; payload 1.5 kg: elbow 9.81 (1.2 x .275 + 1.5 x .55) = 11.33,
    # shoulder 9.81 (1.2 x .275 + 1.2 x .825 + 1.5 x 1.1) = 29.14 N m; x 1.3 / .25 = 58.9 and 151.5
    np.testing.assert_allclose(holding_torque("planar"), [29.136, 11.331], atol=1e-3)
    np.testing.assert_allclose(ARMS["planar"].torque_max_nm, [151.5, 58.9], rtol=0.02)


def test_scorbot_strength_is_no_more_than_asked():
    torque = holding_torque("scorbot")[1:4] * SPARE / WEAKEST
    np.testing.assert_allclose(ARMS["scorbot"].torque_max_nm[1:4], torque, rtol=0.05)


def test_weakest_yaw_turns_the_heaviest_scorbot():
    model, data = heaviest("scorbot")
    mujoco.mj_inverse(model, data)
    mujoco.mj_forward(model, data)
    inertia = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, inertia)
    assert ARMS["scorbot"].torque_max_nm[0] * WEAKEST >= 10.0 * inertia[0, 0]
