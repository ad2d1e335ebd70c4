"""Trains of SET pulses against the published pulse, applied one by one."""

import pytest
import torch

from pcm_backend.pulses import PulseCfg, set_pulse
from pcm_backend.trains import MAX_PULSES, after_train, blind_pulses_for, mean_step, pulses_for, train_moments


def _one_by_one(x, n_pulses, n_physical, generator):
    """The pulse itself, in a loop, each on the device that conducts less."""
    cfg = PulseCfg()
    devices = (x * cfg.g_device_us).repeat(n_physical, 1)
    for _ in range(n_pulses):
        weakest = devices.argmin(0, keepdim=True)
        grown = set_pulse(devices.gather(0, weakest), torch.randn(weakest.shape, generator=generator), cfg)
        devices = devices.scatter(0, weakest, grown)
    return devices.mean(0) / cfg.g_device_us


def test_first_steps_by_hand():
    """From RESET: .282, then .282 + .01 (1 + 27.235 exp(-.706)) = .427 (aihwkit: .282 .427 .531); 60 % of a step."""
    mean, spread = train_moments(torch.zeros(3), torch.tensor([1.0, 2.0, 3.0]))
    assert mean.tolist() == pytest.approx([0.282, 0.427, 0.531], abs=1e-3)
    assert float(spread[0]) == pytest.approx(0.6 * 0.282, rel=1e-3)
    mean, spread = train_moments(torch.zeros(2), torch.tensor([1.0, 2.0]), 2)  # two devices: half of it, one of each
    assert mean.tolist() == pytest.approx([0.141, 0.282], abs=1e-3)
    assert spread.tolist() == pytest.approx([0.5 * 0.6 * 0.282, 0.5**0.5 * 0.6 * 0.282], rel=1e-3)


@pytest.mark.parametrize("start", [0.0, 0.15, 0.4])
@pytest.mark.parametrize(("n_pulses", "n_physical"), [(1, 1), (3, 1), (8, 1), (6, 2)])
def test_a_train_is_its_pulses(start, n_pulses, n_physical, seeded):
    """The loop's mean lies a little apart, as its noise meets a curved step, and two devices even out a little."""
    x = torch.full((40_000,), start)
    loop = _one_by_one(x, n_pulses, n_physical, seeded())
    mean, spread = train_moments(x[:1], torch.tensor([float(n_pulses)]), n_physical)
    assert float(mean) == pytest.approx(float(loop.mean()), rel=0.07)
    assert float(spread) == pytest.approx(float(loop.std()), rel=0.2)
    train = after_train(x, torch.full_like(x, n_pulses), torch.randn(40_000, generator=seeded(1)), n_physical)
    assert 0.0 <= float(train.min()) <= float(train.max()) <= 1.0


def test_no_pulse_moves_nothing(seeded):
    x = torch.rand(100, generator=seeded())
    assert torch.equal(after_train(x, torch.zeros(100), torch.ones(100)), x)


def test_pulses_saturate():
    mean, _ = train_moments(torch.zeros(20), torch.arange(20.0))
    growth = mean.diff()
    assert bool((growth > 0).all())
    assert bool((growth.diff() < 1e-6).all())


@pytest.mark.parametrize("n_physical", [1, 2])
def test_a_known_device_gets_the_number_that_fits(n_physical, seeded):
    """The mean after the chosen number of pulses misses by no more than after one pulse fewer or more."""
    x, growth = torch.rand(1000, generator=seeded()) * 0.5, torch.rand(1000, generator=seeded(1)) * 0.2
    n_pulses = pulses_for(x, growth, n_physical)
    shifted = ((n_pulses + k).clamp(min=0.0) for k in (0, -1, 1))
    chosen, fewer, more = ((train_moments(x, n, n_physical)[0] - x - growth).abs() for n in shifted)
    assert bool((chosen <= torch.minimum(fewer, more) + 1e-6).all())
    assert float(pulses_for(torch.tensor(0.95), torch.tensor(2.0), n_physical)) == MAX_PULSES * n_physical


def test_blind_numbers_by_hand():
    """A step at a quarter: .01 (1 + 27.235 exp(-.625)) = .1558; under half of it nothing, twice it two pulses."""
    assert float(mean_step(torch.tensor(0.25))) == pytest.approx(0.1558, abs=2e-4)
    assert blind_pulses_for(torch.tensor([0.0, 0.077, 0.079, 0.31, 50.0]), 1, 0.25).tolist() == [0, 0, 1, 2, MAX_PULSES]
    assert blind_pulses_for(torch.tensor([0.038, 0.04, 0.31]), 2, 0.25).tolist() == [0, 1, 4]
    # at 0: .01 (1 + 27.235) = .2824, so .31 is one step
    assert blind_pulses_for(torch.tensor([0.31]), 1, 0.0).tolist() == [1]
