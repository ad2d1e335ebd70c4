"""Devices programmed to nothing: noisy by the closed form of a normal number cut at zero, or ideal."""

import math

import pytest
import torch

from pcm_backend import DEVICES, Crossbar, CrossbarCfg, FittedDevice

FITTED = sorted(name for name, device in DEVICES.items() if isinstance(device, FittedDevice))
NOISY = [name for name in FITTED if name != "ideal"]
WEIGHTS = torch.tensor([[0.7, -0.4, 1.0, 0.0], [0.2, -1.0, 0.0, 0.5]])
DAY_S = 86400.0


def crossbar(seeded, n_chips=2, **options):
    cfg = CrossbarCfg(dac_bits=0, adc_bits=0, **options)
    return Crossbar(WEIGHTS, cfg, n_chips=n_chips, generator=seeded())


@pytest.mark.parametrize("name", NOISY)
def test_an_off_device_is_a_normal_number_cut_at_zero(name, seeded):
    # N(0, s) cut at zero: mean s / sqrt(2 pi), mean square s^2 / 2, exactly half of the devices at 0
    device, n = DEVICES[name], 200_000
    sigma = float(device.fit.programming_sigma_us(torch.zeros(1)))
    g_us = device.program(torch.zeros(n), seeded()).g_us
    mean, sd = sigma / math.sqrt(2 * math.pi), sigma * math.sqrt(0.5 - 0.5 / math.pi)
    assert abs(float(g_us.mean()) - mean) < 4.5 * sd / math.sqrt(n)
    assert float(g_us.std()) == pytest.approx(sd, rel=0.01)
    assert abs(float((g_us == 0).float().mean()) - 0.5) < 4.5 * 0.5 / math.sqrt(n)


@pytest.mark.parametrize("name", FITTED)
def test_ideal_off_devices_conduct_nothing_and_stay_quiet(name, seeded):
    xbar = crossbar(seeded, device=name, off_device="ideal")
    off = torch.stack([WEIGHTS <= 0, WEIGHTS >= 0]).expand(2, 1, 2, 2, 4)
    for _ in range(2):
        g_us = xbar.conductances_us()
        assert (g_us[off] == 0).all()
        assert (g_us[~off] > 0).all()
        xbar.advance(DAY_S)
    alone = torch.eye(4)[3].expand(2, 64, 4)
    assert (xbar(alone)[..., 0] == 0).all()  # both devices of this cell are off: no read sees anything


@pytest.mark.parametrize("name", NOISY)
def test_off_devices_are_noisy_by_default(name, seeded):
    g_us = crossbar(seeded, n_chips=32, device=name).conductances_us()
    off = torch.stack([WEIGHTS <= 0, WEIGHTS >= 0]).expand(32, 1, 2, 2, 4)
    assert 0.4 < float((g_us[off] > 0).float().mean()) < 0.6


def test_a_device_switched_off_by_a_write_is_ideal_too(seeded):
    xbar = crossbar(seeded, n_chips=64, off_device="ideal")
    delta, before = torch.zeros_like(WEIGHTS), xbar.weights()
    delta[0, 0] = -1.2  # .7 becomes -.5: the positive device is switched off
    xbar.write(delta)
    assert (xbar.conductances_us()[:, 0, 0, 0, 0] == 0).all()
    change = (xbar.weights() - before)[:, 0, 0]
    assert float(change.mean()) == pytest.approx(-1.2, abs=4.5 * float(change.std()) / 8)  # 64 chips, root 8


def test_the_devices_that_are_on_are_the_same_either_way(seeded):
    on = torch.stack([WEIGHTS > 0, WEIGHTS < 0]).expand(2, 1, 2, 2, 4)
    noisy, ideal = (crossbar(seeded, off_device=kind).conductances_us() for kind in ("noisy", "ideal"))
    assert torch.equal(noisy[on], ideal[on])


def test_another_kind_of_off_device_is_named():
    with pytest.raises(ValueError, match=r"unknown off_device 'silent'; choose from \['noisy', 'ideal'\]"):
        CrossbarCfg(off_device="silent")  # type: ignore[arg-type]
