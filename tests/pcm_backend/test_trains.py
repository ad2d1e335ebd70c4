"""Trains of SET pulses against the published pulse, applied one by one."""

import pytest
import torch

from pcm_backend.trains import MAX_PULSES, after_train, blind_pulses_for, mean_step, pulses_for, train_moments


def _one_by_one(x, n_pulses, generator):
    """The published pulse, in a loop: w = 2 x, w += f + .6 (f + .042 + .108 w) N, cut to 0 to 2."""
    w = 2 * x
    for _ in range(n_pulses):
        f = 0.01 * (1 + 27.235 * torch.exp(-2.5 * w))
        w = (w + f + 0.6 * (f + 0.042 + 0.108 * w) * torch.randn(w.shape, generator=generator)).clamp(0, 2)
    return w / 2


def test_first_steps_by_hand():
    """From RESET: w = .282, then .282 + .01 (1 + 27.235 exp(-.706)) = .427 (published: .282 .427 .531)."""
    x = torch.zeros(3)
    mean, spread = train_moments(x, torch.tensor([1.0, 2.0, 3.0]))
    assert mean.tolist() == pytest.approx([0.282 / 2, 0.427 / 2, 0.531 / 2], abs=5e-4)
    assert float(spread[0]) == pytest.approx(0.6 * (0.28235 + 0.042) / 2, rel=1e-3)
    assert float(mean_step(torch.tensor(0.0))) == pytest.approx(0.141175)


@pytest.mark.parametrize("start", [0.0, 0.15, 0.4])
@pytest.mark.parametrize("n_pulses", [1, 3, 10])
def test_a_train_is_its_pulses(start, n_pulses, seeded):
    """The loop's mean lies a little higher, as its noise meets a curved step: within 5 %; the spread within 6 %."""
    x = torch.full((50_000,), start)
    loop = _one_by_one(x, n_pulses, seeded())
    train = after_train(x, torch.full_like(x, n_pulses), torch.randn(50_000, generator=seeded(1)))
    assert float(train.mean()) == pytest.approx(float(loop.mean()), rel=0.05)
    assert float(train.std()) == pytest.approx(float(loop.std()), rel=0.06)


def test_no_pulse_moves_nothing(seeded):
    x = torch.rand(100, generator=seeded())
    assert torch.equal(after_train(x, torch.zeros(100), torch.ones(100)), x)


def test_pulses_saturate(seeded):
    mean, _ = train_moments(torch.zeros(40), torch.arange(40.0))
    growth = mean.diff()
    assert bool((growth > 0).all())
    assert bool((growth.diff() < 1e-6).all())
    x = torch.rand(1000, generator=seeded())
    end = after_train(x, torch.full_like(x, MAX_PULSES), torch.randn(1000, generator=seeded(1)))
    assert float(end.min()) >= 0.0
    assert float(end.max()) <= 1.0


def test_a_known_device_gets_the_number_that_fits(seeded):
    """The mean after the chosen number of pulses misses by no more than after one pulse fewer or more."""
    x, growth = torch.rand(1000, generator=seeded()) * 0.5, torch.rand(1000, generator=seeded(1)) * 0.2
    n_pulses = pulses_for(x, growth)
    chosen, fewer, more = ((train_moments(x, n_pulses + k)[0] - x - growth).abs() for k in (0, -1, 1))
    assert bool((chosen <= torch.minimum(fewer, more) + 1e-6).all())
    assert float(pulses_for(torch.tensor(0.9), torch.tensor(0.5))) == MAX_PULSES


def test_blind_numbers_by_hand():
    """A step at a quarter: .005 (1 + 27.235 exp(-1.25)) = .0440; twice that is two pulses, under half of it none."""
    assert float(mean_step(torch.tensor(0.25))) == pytest.approx(0.0440, abs=1e-4)
    assert blind_pulses_for(torch.tensor([0.0, 0.021, 0.023, 0.088, 5.0])).tolist() == [0, 0, 1, 2, MAX_PULSES]
