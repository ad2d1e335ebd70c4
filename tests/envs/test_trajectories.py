"""Targets of the spiking arm: kinematics against a Denavit-Hartenberg chain, limits, speeds, clock and coding."""

from typing import Any, cast

import numpy as np
import pytest

from envs import trajectories as tr


def link(theta, d, a, alpha):
    """Return the transform of one link in the standard Denavit-Hartenberg convention."""
    c, s, ca, sa = np.cos(theta), np.sin(theta), np.cos(alpha), np.sin(alpha)
    return np.array([[c, -s * ca, s * sa, a * c], [s, c * ca, -c * sa, a * s], [0, sa, ca, d], [0, 0, 0, 1]])


def test_the_tip_is_where_the_chain_of_links_puts_it():
    # Angles of the chain are minus those of the joints; the two sideways offsets d2 and d3 follow the base.
    for base, shoulder in np.random.default_rng(0).uniform(-2, 2, (20, 2)):
        chain = link(-base, tr.D1, tr.A1, -np.pi / 2) @ link(-shoulder, -0.098, tr.A2, 0.0)
        chain = chain @ link(0.0, 0.065, tr.A3, 0.0) @ link(0.0, 0.0, tr.A4, 0.0)
        np.testing.assert_allclose(tr.tip_position(np.array([base, shoulder])), chain[:3, 3], atol=1e-12)


def test_at_home_the_arm_points_forward():
    # reach 0.05 + 0.3 + 0.35 + 0.22 = 0.92, sideways -0.098 + 0.065 = -0.033, height 0.3585
    np.testing.assert_allclose(tr.tip_position(np.zeros(2)), [0.92, -0.033, 0.3585], atol=1e-12)


def test_targets_stay_inside_the_limits_and_follow_from_their_velocities():
    drawn = tr.draw_targets(200, seed=1000)
    assert drawn.velocity_rad_s.shape == (200, 249, 2)
    assert (np.abs(drawn.angle_rad) < np.deg2rad([130, 70])).all()
    np.testing.assert_allclose(drawn.angle_rad[:, 99], 0.01 * drawn.velocity_rad_s[:, :100].sum(1))
    np.testing.assert_allclose(drawn.tip_m, tr.tip_position(drawn.angle_rad))


def test_smoothing_is_the_hann_window_of_what_was_walked():
    # A walk that stands at 1: at step 0 the 120 wide window, whose weights sum to 1, holds 119 - 60 = 59 zeros, then 61
    # ones; from step 58 on ones alone (the window starts with 0), at the end because
    # what follows is the mirror image.
    class Jump(np.random.Generator):
        def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
            out = np.zeros(size)
            out[:, 0] = 1.0
            return out

    walk = tr._smooth_walk(1, 249, Jump(np.random.PCG64()))[0, :, 0]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(120) / 120)
    assert walk[0] == pytest.approx(window[59:].sum() / window.sum())
    assert walk[57] < 1.0 - 1e-6
    np.testing.assert_allclose(walk[58:], 1.0)


def test_the_spread_of_the_walk_is_that_of_the_released_code():
    # At step t the walk has variance (t + 1) 0.065^2; the window takes a share of it, the same for all seeds.
    walk = tr._smooth_walk(4000, 249, np.random.default_rng(0))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(120) / 120)
    window /= window.sum()
    # velocity at step 120 = sum_k window[k] walk[61 + k]: each normal step i counts with the sum of later weights
    later = np.concatenate([np.ones(61), np.cumsum(window[::-1])[::-1]])
    assert walk[:, 120].std() == pytest.approx(0.065 * np.sqrt((later**2).sum()), rel=0.03)


def test_equal_seeds_give_equal_targets_and_others_do_not():
    first, again, other = (tr.draw_targets(4, seed).tip_m for seed in (7, 7, 8))
    assert (first == again).all()
    assert not (first == other).any()


def test_the_clock_is_25_spikes_one_neuron_after_the_other():
    spikes = tr.clock_spikes()
    times, neurons = np.nonzero(spikes)
    assert times.tolist() == list(range(0, 250, 10))
    assert neurons.tolist() == [k // 5 for k in range(25)]


def test_binary_coding_is_the_number_itself():
    tip = np.array([[[0.25, -1.0, 0.5]]])
    code = tr.encode(tip, "binary").reshape(3, 16)
    # (0.25 + 1) 2^15 = 40960 = 2^15 + 2^13; 0; (0.5 + 1) 2^15 = 49152 = 2^15 + 2^14
    assert [np.flatnonzero(bits).tolist() for bits in code] == [[13, 15], [], [14, 15]]


def test_one_hot_coding_fires_one_neuron_of_each_axis_every_10_steps():
    code = tr.encode(tr.draw_targets(3, 0).tip_m, "one_hot").reshape(3, 249, 3, 16)
    assert (code[:, ::10].sum(-1) == 1).all()
    assert code.sum() == 3 * 25 * 3


@pytest.mark.parametrize(("coding", "size"), [("bumps", 16), ("motion", 8)])
def test_bumps_are_highest_where_the_tip_is(coding, size):
    tip = tr.draw_targets(5, 0).tip_m
    code = tr.encode(tip, coding).reshape(5, 249, 3, 16)[..., :size]
    low, high = tr.TIP_RANGE_M.T
    place = np.clip(np.rint((tip - low) / (high - low) * (size - 1)), 0, size - 1)
    assert (code.argmax(-1) == place).all()


def test_motion_coding_tells_speeds_apart():
    still = np.zeros((1, 249, 3))
    moving = still + 0.01 * np.arange(249)[:, None] * np.array([0.0, 0.4, 0.0])
    speeds = tr.encode(moving, "motion")[0, 5].reshape(3, 16)[:, 8:]
    # centres from -1 to 1 m/s: 0.4 lies at (0.4 + 1) / 2 x 7 = 4.9, next to the sixth
    assert speeds.argmax(-1)[1] == 5
    np.testing.assert_allclose(speeds[1, 5], 0.5 * np.exp(-0.5 * 0.1**2), rtol=1e-5)


def test_wrong_coding_and_number_are_named():
    with pytest.raises(ValueError, match=r"'gray'.*binary.*motion"):
        tr.encode(np.zeros((1, 2, 3)), cast(Any, "gray"))
    with pytest.raises(ValueError, match="n must be 1 or more, got 0"):
        tr.draw_targets(0, 1)
