"""The loop of pulses and reads: by hand where nothing is random, by its statistics where everything is."""

import itertools
import math

import pytest
import torch

from pcm_backend.pulse_device import HERMES_PAIR, HERMES_SINGLE, PulsedDevice, PulseState
from pcm_backend.pulses import PulseCfg
from pcm_backend.verify import numbers_from

QUIET = PulseCfg(set_spread=0.0, verify_noise=0.0, relaxation_us=0.0, reset_us=0.0)
BINS = torch.linspace(0.05, 1.0, 11)


def _by_hand(target_us, g_us=0.0, margin_us=0.15):
    """Return conductance, SET and partial RESET pulses of one device whose pulses have no spread."""
    n_set = n_reset = 0
    while abs(g_us - target_us) > margin_us and n_set + n_reset < 30:
        if g_us < target_us:
            g_us += 2.92 * (1 + 27.235 * math.exp(-2.5 * g_us / 10.35)) / 28.235
            n_set += 1
        else:
            share = (g_us - target_us) / g_us
            current = min(max(60 + 20 * round((450 * math.sqrt(share) - 60) / 20), 60), 160)
            g_us = 0.0 if share > 0.8 else g_us * (1 - (current / 450) ** 2)
            n_reset += 1
    return g_us, n_set, n_reset


@pytest.mark.parametrize("target_us", [0.0, 0.1, 1.0, 2.9, 3.3, 5.0, 7.7, 10.0])
def test_one_device_without_spread_by_hand(target_us, seeded):
    device = PulsedDevice(HERMES_SINGLE.fit, QUIET)
    state, counts = device.program_counted(torch.tensor([target_us]), seeded())
    g_us, n_set, n_reset = _by_hand(target_us)
    assert float(state.g_us) == pytest.approx(g_us, abs=1e-4)
    # the RESET that begins it comes on top
    assert (int(counts.set_pulses), int(counts.reset_pulses)) == (n_set, n_reset + 1)
    assert int(counts.iterations) == n_set + n_reset
    assert bool(counts.converged) == (abs(g_us - target_us) <= 0.15)


@pytest.mark.parametrize("extra_us", [0.0, 1.0, 4.0])
def test_of_two_devices_one_is_full_and_one_trimmed(extra_us, seeded):
    # full SET leaves 10.35 uS up to its 10 % from device to device, so what is trimmed is what was found missing
    device = PulsedDevice(HERMES_PAIR.fit, QUIET)
    state, counts = device.program_counted(torch.full((2000,), 13.0 + extra_us), seeded())
    assert state.trimmed_us is not None
    filled_us = state.g_us - state.trimmed_us
    assert float(filled_us.mean()) == pytest.approx(10.35, abs=0.1)
    assert float((state.g_us - 13.0 - extra_us)[counts.converged].abs().max()) <= 0.1501
    assert float(filled_us.std()) == pytest.approx(1.035, rel=0.1)


@pytest.mark.parametrize(("device", "tolerance"), [(HERMES_PAIR, 0.15), (HERMES_SINGLE, 0.15)])
def test_error_after_a_minute_is_that_of_the_fit(device, tolerance, seeded):
    g = seeded(1000)
    ghat = 0.05 + 0.95 * torch.rand(100_000, generator=g)
    target_us = ghat * device.g_max_us
    state, counts = device.program_counted(target_us, g)
    error_us = device.conductance(state, 60.0) - target_us
    for low, high in itertools.pairwise(BINS):
        here = (ghat >= low) & (ghat < high)
        fitted_us = device.fit.programming_sigma_us(ghat[here]).square().mean().sqrt()
        assert float(error_us[here].std() / fitted_us) == pytest.approx(1.0, abs=tolerance)
        assert abs(float(error_us[here].mean())) < 0.25 * float(fitted_us)
    assert 0.98 <= float(counts.converged.float().mean()) <= (0.999 if device is HERMES_PAIR else 1.0)
    assert int(counts.iterations.max()) == 30


def test_only_a_term_that_grows_with_g_gives_the_curve(seeded):
    device = PulsedDevice(HERMES_PAIR.fit, PulseCfg(verify_noise=0.0, relaxation_us=0.0))
    low, high = (
        (state.g_us - target_us)[counts.converged].std()
        for target_us in (torch.full((20_000,), 2.0), torch.full((20_000,), 18.0))
        for state, counts in [device.program_counted(target_us, seeded())]
    )
    assert float(high / low) < 1.15  # flat, where the fit doubles


def test_state_is_small_and_programming_is_repeatable(seeded):
    target_us = torch.rand(3, 5, 7, generator=seeded()) * 20.0
    for device, n_physical in ((HERMES_PAIR, 2), (HERMES_SINGLE, 1)):
        one, other = (device.program(target_us.clamp(max=device.g_max_us), seeded(4)) for _ in range(2))
        tensors = [each for each in one if each is not None]
        assert all(torch.equal(a, b) for a, b in zip(tensors, [e for e in other if e is not None], strict=True))
        assert all(each.shape == target_us.shape for each in tensors)
        age_bytes = 8  # the clock reading at programming, float64, that an array keeps for each conductance
        assert sum(each.element_size() for each in tensors) + age_bytes <= 16 * n_physical


@pytest.mark.parametrize("device", [HERMES_PAIR, HERMES_SINGLE])
def test_a_cell_that_reads_near_enough_receives_nothing(device, seeded):
    target_us = torch.rand(5000, generator=seeded()) * device.g_max_us
    state = device.program(target_us, seeded(1))
    new, counts = device.reprogram(state, 3600.0, target_us, numbers_from(5000, seeded(2)))
    still = counts.pulses == 0
    assert torch.equal(counts.devices == 0, still)
    assert 0 < int(still.sum()) < 5000
    assert torch.equal(new.g_us[still], state.g_us[still])
    assert torch.equal(new.nu[still], state.nu[still])
    assert float((new.g_us - target_us)[~still].std()) < 1.1 * float(device.fit.programming_sigma_us(torch.ones(1)))


def test_a_small_increment_takes_fewer_pulses_than_programming_anew(seeded):
    target_us = torch.linspace(3.0, 17.0, 4000)
    state, anew = HERMES_PAIR.program_counted(target_us, seeded())
    _, again = HERMES_PAIR.reprogram(state, 60.0, target_us + 1.0, numbers_from(4000, seeded(1)))
    pulses = [float(each.pulses.float().mean()) for each in (again, anew)]
    assert pulses[0] < 0.6 * pulses[1]


@pytest.mark.parametrize("device", [HERMES_PAIR, HERMES_SINGLE])
def test_blind_pulses_grow_saturate_and_leave_the_others(device, seeded):
    blank = device.reset(device.program(torch.full((4, 1000), 5.0), seeded()), seeded(1))
    assert float(blank.g_us.mean()) < 0.25
    n = torch.tensor([[0], [1], [4], [16]])
    state = device.set_pulses(blank, n, seeded(2), age_s=100.0)
    assert isinstance(state, PulseState)
    assert torch.equal(state.g_us[0], blank.g_us[0])
    assert torch.equal(state.nu[0], blank.nu[0])
    mean = state.g_us.mean(1)
    assert bool((mean.diff() > 0).all())
    assert float(mean[3] - mean[2]) / 12 < 0.5 * float(mean[1] - mean[0])  # the steps shrink
    off = device.reset(state, seeded(3), mask=n >= 4)
    assert torch.equal(off.g_us[:2], state.g_us[:2])
    assert float(off.g_us[2:].max()) < 1.5


@pytest.mark.parametrize("device", [HERMES_PAIR, HERMES_SINGLE])
def test_the_kernel_runs_the_loop_of_plain_torch(device, monkeypatch, seeded):
    # a read that falls within a rounding of the margin sends the two ways of computing apart, so nearly all are equal
    target_us = (
        torch.rand(20_000, generator=seeded()) * device.g_max_us * (torch.rand(20_000, generator=seeded(1)) > 0.2)
    )
    native_state, native_counts = device.program_counted(target_us, seeded(2))
    monkeypatch.setattr("pcm_backend.verify.usable", lambda *_: None)
    state, counts = device.program_counted(target_us, seeded(2))
    same = torch.stack([a == b for a, b in zip(native_counts, counts, strict=True)]).all(0)
    assert float(same.float().mean()) > 0.999
    torch.testing.assert_close(native_state.g_us[same], state.g_us[same], rtol=1e-4, atol=1e-4)
    assert float(counts.iterations.float().mean()) > 3.0  # and there was something to do


def test_what_a_cell_draws_does_not_depend_on_its_neighbours(seeded):
    target_us = torch.rand(1000, generator=seeded()) * 20.0
    numbers = numbers_from(1000, seeded(1))
    some = torch.arange(0, 1000, 7)
    (whole, counts), (part, few) = (
        HERMES_PAIR.program_cells(target_us[where], numbers.keep(where)) for where in (torch.arange(1000), some)
    )
    assert torch.equal(whole.g_us[some], part.g_us)
    assert torch.equal(counts.iterations[some], few.iterations)
