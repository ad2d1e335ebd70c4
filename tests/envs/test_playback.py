"""The Scorbot behind its servos: the kinematics of the paper, and how closely it follows."""

import mujoco
import numpy as np
import pytest

from envs.playback import COUNTS_PER_DEG, FAST_HOLD_S, PAPER_HOLD_S, PEDESTAL_M, play, servo_arm, tip_rmse_m
from envs.trajectories import LIMIT_RAD, draw_targets, tip_position


def test_the_model_has_the_paper_s_kinematics():
    model = servo_arm()
    data = mujoco.MjData(model)
    for q in np.random.default_rng(0).uniform(-LIMIT_RAD, LIMIT_RAD, (5, 2)):
        data.qpos[:] = q
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(data.site("tip").xpos - [0, 0, PEDESTAL_M], tip_position(q), atol=1e-12)


@pytest.mark.parametrize(("hold_s", "within_cm"), [(PAPER_HOLD_S, 0.4), (FAST_HOLD_S, 2.0)])
def test_it_follows_what_it_is_told(hold_s, within_cm):
    targets = draw_targets(2, 1001)
    played = play(targets.angle_rad, hold_s)
    assert played.angle_rad.shape == (2, 249, 2)
    assert played.tip_m.shape == (2, 249, 3)
    assert (100 * tip_rmse_m(played.tip_m, targets.tip_m) < within_cm).all()
    counts = np.rad2deg(played.angle_rad) * COUNTS_PER_DEG
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-6)


def test_arms_move_alone_and_within_their_limits():
    told = np.zeros((2, 80, 2))
    told[1] = np.linspace(0.0, 3.0, 80)[:, None]  # far beyond both limits
    played = play(told)
    assert np.abs(played.angle_rad[0]).max() < 0.001  # told to stay, it stays
    np.testing.assert_allclose(played.angle_rad[1, -1], LIMIT_RAD, atol=0.01)
    assert (played.angle_rad[1] < LIMIT_RAD + 0.01).all()
    np.testing.assert_array_equal(play(told[:1]).angle_rad[0], played.angle_rad[0])


def test_errors_are_distances():
    tip = np.zeros((1, 4, 3))
    tip[0, :2, 0], tip[0, 2:, 1] = 0.03, 0.04
    # the root of (9 + 9 + 16 + 16) / 4 cm2
    np.testing.assert_allclose(tip_rmse_m(tip, np.zeros((1, 4, 3))), 0.01 * np.sqrt(12.5))


@pytest.mark.parametrize("hold_s", [0.0, 0.007, -1.0, float("nan")])
def test_what_no_arm_can_hold_is_named(hold_s):
    with pytest.raises(ValueError, match=r"multiple of 0\.005"):
        play(np.zeros((1, 3, 2)), hold_s)


def test_angles_of_another_shape_are_named():
    with pytest.raises(ValueError, match=r"\(B, T, 2\).*\(3, 2\)"):
        play(np.zeros((3, 2)))
