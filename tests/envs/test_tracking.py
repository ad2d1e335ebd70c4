"""References, sensors, reward and error: laws and numbers worked out by hand."""

import numpy as np
import pytest
import torch

from envs.models import ARMS
from envs.tracking import TRACK, Tracking, checked_action, reference


@pytest.fixture(params=sorted(ARMS))
def arm(request):
    return ARMS[request.param]


def uniforms(arm, n, seed=0):
    return np.random.default_rng(seed).random((n, TRACK.n_uniforms_per_joint, arm.n_joints))


def test_references_stay_inside_the_limits_and_under_the_named_speeds(arm):
    position, velocity, _ = np.moveaxis(reference(arm, TRACK, uniforms(arm, 500)), 1, 0)
    assert (position >= np.array(arm.q_min_rad) + TRACK.limit_margin_rad).all()
    assert (position <= np.array(arm.q_max_rad) - TRACK.limit_margin_rad).all()
    assert np.abs(velocity).max() <= 3 * 0.45 * 2 * np.pi * 0.6


def test_velocity_and_acceleration_are_the_derivatives(arm):
    position, velocity, acceleration = np.moveaxis(reference(arm, TRACK, uniforms(arm, 20)), 1, 0)
    # central differences err by dt^2 / 6 times the third derivative: below 1.35 x 3.77^3 x .0004 / 6 = .005
    np.testing.assert_allclose((position[:, 2:] - position[:, :-2]) / 0.04, velocity[:, 1:-1], atol=0.005)
    np.testing.assert_allclose((velocity[:, 2:] - velocity[:, :-2]) / 0.04, acceleration[:, 1:-1], atol=0.02)


def test_reference_worked_example():
    # one sine alone: amplitude .45, f = .15 + .45 x 1/3 = .3 Hz, phase 0; offset in the middle, 0
    uniform = np.zeros((1, TRACK.n_uniforms_per_joint, 2))
    uniform[:, 0], uniform[:, 1], uniform[:, 4] = 0.5, 1.0, 1 / 3
    position, velocity, acceleration = reference(ARMS["planar"], TRACK, uniform)[0]
    t, rate = 1.0, 2 * np.pi * 0.3
    np.testing.assert_allclose(position[50], 0.45 * np.sin(rate * t))
    np.testing.assert_allclose(velocity[50], 0.45 * rate * np.cos(rate * t))
    np.testing.assert_allclose(acceleration[50], -0.45 * rate**2 * np.sin(rate * t))


def test_one_arm_of_many_has_the_reference_it_has_alone(arm):
    uniform = uniforms(arm, 7)
    for i in range(7):
        np.testing.assert_array_equal(reference(arm, TRACK, uniform)[i], reference(arm, TRACK, uniform[i : i + 1])[0])


def test_sensors_round_to_the_encoder_and_add_the_named_noise(arm):
    n = 400
    world = Tracking(arm, n)
    q, qd = world.begin(np.arange(n), [np.random.default_rng(i) for i in range(n)])
    seen = arm.unpack(world.observe(q, qd).astype(np.float64))
    step = arm.encoder_resolution_rad
    np.testing.assert_allclose(seen.q_rad / step, np.round(q / step), atol=1e-3)
    noise = seen.qd_rad_s - qd
    assert noise.std() == pytest.approx(0.005, rel=0.1)
    assert abs(noise.mean()) < 4 * 0.005 / np.sqrt(noise.size)
    np.testing.assert_array_equal(seen.prev_action, 0.0)
    np.testing.assert_allclose(seen.q_ref_rad, q, atol=1e-6)


def test_reward_and_error_worked_example():
    arm = ARMS["planar"]
    world = Tracking(arm, 1)
    world.begin(np.arange(1), [np.random.default_rng(0)])
    total = 0.0
    for k in range(TRACK.n_steps):
        # off by (.12, .16): .2 rad = one width for the first 75 steps; then by .05 rad on one joint
        off = [0.12, 0.16] if k < 75 else [0.05, 0.0]
        goal = world._reference[:, k + 1, 0]
        reward, terms = world.advance(goal + off, np.array([[1.0, -0.5]]))
        # action: .05 x (1 + .25) / 2 = .03125
        expected = np.exp(-1.0 if k < 75 else -0.0625)
        assert terms["reward_tracking"][0] == pytest.approx(expected)
        assert terms["reward_action"][0] == pytest.approx(-0.03125)
        total += reward[0]
    summary = world.summary()
    # sqrt((75 x .04 + 25 x .0025) / 100) = sqrt(.030625) = .175
    assert summary["rmse_rad"][0] == pytest.approx(0.175)
    assert summary["success"][0]  # the last half second: .05 rad
    assert summary["episode"]["r"][0] == pytest.approx(total)
    assert summary["episode"]["l"][0] == 100
    assert total == pytest.approx(75 * np.exp(-1.0) + 25 * np.exp(-0.0625) - 100 * 0.03125)


def test_law_of_the_wanted_acceleration_is_the_same_for_arrays_and_tensors(arm):
    values = np.arange(12 * arm.n_joints, dtype=np.float32).reshape(2, -1) / 7
    parts = arm.unpack(values)
    by_hand = parts.qdd_ref_rad_s2 + 20 * (parts.qd_ref_rad_s - parts.qd_rad_s) + 100 * (parts.q_ref_rad - parts.q_rad)
    np.testing.assert_allclose(arm.commanded_acceleration(values), by_hand, rtol=1e-6)
    np.testing.assert_allclose(arm.commanded_acceleration(torch.from_numpy(values)).numpy(), by_hand, rtol=1e-5)
    assert [part.shape for part in arm.unpack(torch.from_numpy(values))] == [(2, arm.n_joints)] * 6


def test_actions_are_cut_and_what_is_no_action_is_refused():
    np.testing.assert_array_equal(checked_action([3.0, -0.5], (2,)), [1.0, -0.5])
    with pytest.raises(ValueError, match=r"shape \(2,\), not \(3,\)"):
        checked_action(np.zeros(3), (2,))
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match=f"finite, not {bad}"):
            checked_action([0.0, bad], (2,))
