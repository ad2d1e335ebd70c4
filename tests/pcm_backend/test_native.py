"""The native kernels against plain torch: the same chips, reads and writes, of the same random numbers."""

import pytest
import torch
from torch import nn

from pcm_backend import DEVICES, Crossbar, CrossbarCfg, FittedDevice, native
from pcm_backend.fit_tables import tables_of
from pcm_backend.patches import Patches

FITTED = sorted(name for name, device in DEVICES.items() if isinstance(device, FittedDevice))
NAMES = ("pcm_backend.fast_devices.library", "pcm_backend.reading.library")


@pytest.fixture
def both(monkeypatch):
    """Run a function with the kernels, and without."""
    if native.library() is None:
        pytest.skip("no native kernels on this machine")

    def run(function):
        fast = function()
        with monkeypatch.context() as patch:
            for name in NAMES:
                patch.setattr(name, lambda: None)
            patch.setattr("pcm_backend.streams.usable", lambda *_: None)
            return fast, function()

    return run


def _mostly_close(one, other, rtol=2e-4, atol=2e-5, but=2e-3):
    """Equal but for a share of numbers: those beside a jump of a fit, or that a converter rounds the other way."""
    far = (one - other).abs() > atol + rtol * other.abs()
    assert float(far.double().mean()) <= but, (far.sum(), (one - other).abs().max())


def _story(w, cfg, bias=None, dtype=torch.float32):
    """A chip's life: programmed, aged, read in batches of 1 and 5, written here and there, and read again."""

    def tell():
        g = torch.Generator().manual_seed(4)
        xbar = Crossbar(w, cfg, n_chips=3, generator=g, bias=bias)
        seen = [xbar.weights(), xbar.factors]
        xbar.advance(86400.0)
        seen += [xbar.weights(), xbar.factors]
        x = torch.randn(3, 5, w.shape[-1], generator=g)
        seen += [xbar(x), xbar(x[:, :1])]
        delta = torch.randn(3, *w.shape[-2:], generator=g) * 0.2
        delta *= torch.rand(delta.shape, generator=g) < 0.3
        report = xbar.write(delta)
        seen += [xbar.weights(), report.pulses, report.devices, report.time_s]
        xbar.advance(5.0, calibrate=False)
        seen.append(xbar(x))
        xbar.write(delta[0])
        xbar.recalibrate()
        return [*seen, xbar.weights(), xbar.factors, xbar.ledger.energy_j()]

    return tell


@pytest.mark.parametrize("device", FITTED)
@pytest.mark.parametrize("read_noise", ["each", "off"])
def test_a_life_on_every_device(device, read_noise, both, seeded):
    w = torch.randn(20, 33, generator=seeded(1)) * 0.2
    cfg = CrossbarCfg(device=device, read_noise=read_noise, dac_bits=0, adc_bits=0)
    for one, other in zip(*both(_story(w, cfg)), strict=True):
        _mostly_close(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        {"slices": 2},
        {"rows_per_weight": 3, "in_range": 2.0},
        {"slices": 2, "out_range": 0.5, "out_doublings": 4},
        {"out_range": tuple(0.1 * i for i in range(1, 21)), "dac_bits": 5},
        {"off_device": "ideal", "dac_bits": 0},
        {"scale": "matrix", "compensation": "global", "adc_bits": 0},
    ],
)
def test_a_life_with_every_option(options, both, seeded):
    w, bias = torch.randn(3, 20, 33, generator=seeded(1)) * 0.2, torch.randn(20, generator=seeded(2))
    fast, plain = both(_story(w, CrossbarCfg(**options), bias))
    for one, other in zip(fast, plain, strict=True):
        _mostly_close(one, other, rtol=1e-3, atol=1e-3, but=0.02)


def test_a_life_on_two_cores_of_rows(both, seeded):
    w = torch.randn(4, 300, generator=seeded(1)) * 0.2
    for one, other in zip(*both(_story(w, CrossbarCfg())), strict=True):
        _mostly_close(one, other, rtol=1e-3, atol=1e-3, but=0.02)


@pytest.mark.parametrize("options", [{}, {"slices": 2, "out_range": 2.0, "out_doublings": 2}, {"read_noise": "off"}])
def test_pictures_and_spikes(options, both, seeded):
    """On three cores and on one; kernels that end within a channel and that do not; a bias and none."""
    x = torch.randn(3, 2, 64, 5, 6, generator=seeded(3))

    def look():
        seen = []
        for channels, bias in ((64, None), (56, torch.randn(4, generator=seeded(2))), (4, None)):
            conv = nn.Conv2d(channels, 4, 3, stride=2, padding=1)
            w = 0.2 * torch.randn(4, 9 * channels, generator=seeded(1))
            cfg = CrossbarCfg(in_range=2.0, **options)
            xbar = Crossbar(w, cfg, n_chips=3, generator=seeded(), bias=bias)
            seen += [xbar.convolve(x[:, :, :channels], Patches.of(conv)), xbar.ledger.products]
            spikes = (torch.rand(3, 5, 9 * channels, generator=seeded(4)) < 0.1).float()
            seen += [xbar.spikes(spikes), xbar.spikes(spikes[:, :1])]
        return seen

    for one, other in zip(*both(look), strict=True):
        _mostly_close(one, other, rtol=1e-3, atol=1e-3, but=0.02)


@pytest.mark.parametrize("device", FITTED)
def test_tables_hold_the_fits(device):
    fit = DEVICES[device].fit
    tables = tables_of(fit)
    ghat = torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    place = ghat * (tables.fits.shape[1] - 1)
    below = place.long()
    read = torch.lerp(tables.fits[:, below], tables.fits[:, below + 1], place - below)
    exact = torch.stack([fit.programming_sigma_us(ghat), *fit.drift_exponent(ghat.clamp(min=1e-7))])
    _mostly_close(read, exact, rtol=1e-5, atol=2e-6, but=1e-3)


def test_noise_of_single_vectors_is_that_of_batches(both, seeded):
    """Variances in 16 bits: the deviation of a read is that of plain torch to a thousandth."""
    w = torch.randn(4, 64, generator=seeded(1))
    x = torch.ones(2000, 1, 64)

    def noise():
        xbar = Crossbar(w, CrossbarCfg(dac_bits=0, adc_bits=0), n_chips=1, generator=seeded(3)).copies(2000)
        return xbar(x) - x @ xbar.weights().transpose(1, 2)

    fast, plain = both(noise)
    torch.testing.assert_close(fast.std(0), plain.std(0), rtol=2e-3, atol=0)


def test_inputs_that_are_not_finite_are_named(both, seeded):
    def ask():
        xbar = Crossbar(torch.ones(2, 3), n_chips=1, generator=seeded())
        for bad in (float("nan"), float("inf")):
            with pytest.raises(ValueError, match="x must be finite"):
                xbar(torch.tensor([[[0.0, bad, 1.0]]]))

    both(ask)


@pytest.mark.parametrize("options", [{}, {"slices": 2, "rows_per_weight": 2}], ids=str)
def test_threads_change_nothing(options, monkeypatch, seeded):
    w = torch.randn(3, 20, 33, generator=seeded(1)) * 0.2
    alone = _story(w, CrossbarCfg(**options))()
    monkeypatch.setattr("pcm_backend.native._WORK_OF_A_THREAD", 1)
    monkeypatch.setattr("pcm_backend.increments._PART", 64)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        together = _story(w, CrossbarCfg(**options))()
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)  # torch's own products may add up otherwise
