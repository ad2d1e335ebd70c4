"""Single pulses, by hand and by the published numbers."""

import pytest
import torch

from pcm_backend.pulses import (
    STAIRCASE_UA,
    PulseCfg,
    full_set,
    mean_set_step_us,
    melted_share,
    partial_reset_pulse,
    relaxation_us,
    relaxed,
    reset_pulse,
    set_pulse,
    staircase_current_ua,
)

CFG = PulseCfg()
# Conductance after each SET pulse from RESET, over that of a device at the end of its range: the mean trajectory of
# aihwkit's PCMPresetDevice, worked out from its parameters.
PUBLISHED = (0.282, 0.427, 0.531, 0.613, 0.682, 0.741)


def test_set_pulses_follow_the_published_trajectory():
    g_us, shares = torch.zeros(1), []
    for _ in range(40):
        g_us = set_pulse(g_us, torch.zeros(1), CFG)
        shares.append(float(g_us) / CFG.g_device_us)
    assert shares[:6] == pytest.approx(PUBLISHED, abs=1e-3)
    assert (shares[11], shares[39]) == pytest.approx((0.996, 1.586), abs=2e-3)


def test_set_steps_shrink_and_spread_in_proportion(seeded):
    g_us = torch.tensor([0.0, 2.0, 5.0, 10.35])
    step = mean_set_step_us(g_us, CFG)
    assert float(step[0]) == pytest.approx(2.92)
    assert bool((step.diff() < 0).all())
    many = g_us.expand(100_000, 4)
    normal = torch.randn(many.shape, generator=seeded(1000))
    change = set_pulse(many + 20.0, normal, CFG) - many - 20.0  # far from zero nothing is cut
    torch.testing.assert_close(change.std(0), 0.6 * mean_set_step_us(g_us + 20.0, CFG), rtol=0.02, atol=0.0)


def test_a_reset_forgets_and_leaves_a_rectified_normal(seeded):
    left = reset_pulse(torch.randn(200_000, generator=seeded(1000)), CFG)
    assert float(left.mean()) == pytest.approx(CFG.reset_us * 0.39894, rel=0.02)
    assert float(left.std()) == pytest.approx(CFG.reset_us * 0.58383, rel=0.02)


def test_the_staircase_melts_shares_between_nothing_and_a_reset():
    currents = torch.tensor(STAIRCASE_UA)
    assert float(melted_share(torch.tensor(450.0))) == 1.0
    torch.testing.assert_close(staircase_current_ua(melted_share(currents)), currents)
    assert staircase_current_ua(torch.tensor([-1.0, 0.0, 1.0])).tolist() == [60.0, 60.0, 160.0]
    after = partial_reset_pulse(torch.tensor([10.0, 10.0]), torch.tensor([160.0, 60.0]), torch.zeros(2), CFG)
    assert after.tolist() == pytest.approx([10.0 * (1 - 0.12642), 10.0 * (1 - 0.017778)], rel=1e-4)


def test_nothing_falls_below_zero(seeded):
    normal = 10.0 * torch.randn(1000, generator=seeded())
    g_us = torch.rand(1000, generator=seeded(1))
    for after in (
        set_pulse(g_us, normal, CFG),
        reset_pulse(normal, CFG),
        partial_reset_pulse(g_us, torch.full((1000,), 160.0), normal, CFG),
        full_set(normal, CFG),
        relaxed(g_us, normal, CFG),
    ):
        assert float(after.min()) >= 0.0


def test_relaxation_is_relative_below_and_constant_above():
    g_us = torch.tensor([0.0, 1e-3, CFG.relaxation_half_us, 1e4])
    spread = relaxation_us(g_us, CFG).tolist()
    assert spread == pytest.approx([0.0, 1e-3 * CFG.relaxation_us / CFG.relaxation_half_us, 0.55, 1.1], rel=1e-3)


@pytest.mark.parametrize(("name", "value"), [("margin_us", 0.0), ("set_spread", -0.1), ("relaxation_us", float("nan"))])
def test_constants_that_mean_nothing_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name} must be"):
        PulseCfg(**{name: value})
