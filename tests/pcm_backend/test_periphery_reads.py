"""Reads of crossbars whose periphery errs: each part by itself against a law or a number worked out apart."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pcm_backend import Crossbar, CrossbarCfg, PeripheryCfg, deploy
from tests.pcm_backend.ladders import pulsed_product

BARE = {"device": "ideal", "dac_bits": 0, "adc_bits": 0}
HERMES = PeripheryCfg.hermes()


def _matrix(seeded, *shape, seed=99):
    return torch.randn(*shape, generator=seeded(seed)) * 0.2


def _inputs(seeded, *shape):
    return torch.rand(*shape, generator=seeded(7)) * 2 - 1


def _converters(xbar):
    converters = xbar._array.periphery.converters
    assert converters is not None
    return converters


def test_ideal_devices_without_converters_are_the_float_module(seeded):
    module = nn.Sequential(nn.Linear(300, 40), nn.Tanh(), nn.Linear(40, 5, bias=False))
    cfg = CrossbarCfg(**BARE, periphery=PeripheryCfg.ideal(), compensation="none")
    chips = deploy(module, cfg, n_chips=3, generator=seeded())
    x = _inputs(seeded, 3, 6, 300)
    torch.testing.assert_close(chips(x), module(x), rtol=1e-5, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    n_in=st.sampled_from([1, 5, 300]),
    copies=st.sampled_from([1, 3]),
    slices=st.sampled_from([1, 2]),
    chips=st.integers(1, 3),
    in_range=st.sampled_from([None, 1.5]),
    with_bias=st.booleans(),
)
def test_four_phases_apart_are_the_float_product_too(n_in, copies, slices, chips, in_range, with_bias):
    g = torch.Generator().manual_seed(n_in)
    w, b = torch.randn(4, n_in, generator=g), torch.randn(4, generator=g)
    x = torch.rand(chips, 3, n_in, generator=g) * 2 - 1
    apart = PeripheryCfg(conversion="each_phase")
    cfg = CrossbarCfg(**BARE, periphery=apart, slices=slices, rows_per_weight=copies, in_range=in_range)
    xbar = Crossbar(w, cfg, n_chips=chips, generator=g, bias=b if with_bias else None)
    torch.testing.assert_close(xbar(x), x @ w.T + (b if with_bias else 0), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("conversion", ["net", "each_phase"])
@pytest.mark.parametrize("phases", [1, 4])
def test_wires_lose_what_a_ladder_loses(phases, conversion, seeded):
    w = _matrix(seeded, 30, 64)
    x = torch.sign(_inputs(seeded, 1, 1, 64))
    around = PeripheryCfg(wire_ohm=20.0, conversion=conversion)
    xbar = Crossbar(
        w, CrossbarCfg(**BARE, periphery=around, phases=phases, in_range=1.0), n_chips=1, generator=seeded()
    )
    lost = (x[0] @ w.T - xbar(x)[0])[0].numpy()
    g_us = xbar.conductances_us()[0, 0].double().numpy()
    per_us = w.abs().amax(1).numpy() / 20.7
    ladder = np.array(
        [
            (g_us[0, k] - g_us[1, k]) @ x[0, 0].double().numpy()
            - pulsed_product(g_us[0, k], g_us[1, k], x[0, 0].numpy(), 20.0, phases, slots=1)
            for k in range(30)
        ]
    )
    expected = ladder * per_us
    assert lost @ expected / (expected @ expected) == pytest.approx(0.92, abs=0.15)


@pytest.mark.parametrize("conversion", ["net", "each_phase"])
@pytest.mark.parametrize("phases", [1, 4])
def test_every_core_loses_by_itself(phases, conversion, seeded):
    around = PeripheryCfg(wire_ohm=2.0, conversion=conversion)
    cfg = CrossbarCfg(**BARE, periphery=around, phases=phases, in_range=1.0, w_range=1.0)
    w, x = _matrix(seeded, 6, 300), _inputs(seeded, 2, 4, 300)
    whole, near, far = (Crossbar(each, cfg, n_chips=2, generator=seeded()) for each in (w, w[:, :150], w[:, 150:]))
    y = whole(x)
    assert float((y - x @ w.T).abs().max()) > 1e-3
    torch.testing.assert_close(y, near(x[..., :150]) + far(x[..., 150:]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_in", [20, 120])  # three times as many rows lie on one core, and on two
@pytest.mark.parametrize("conversion", ["net", "each_phase"])
def test_rows_with_the_same_weight_are_rows_like_others(conversion, n_in, seeded):
    around = PeripheryCfg(wire_ohm=5.0, conversion=conversion)
    cfg = CrossbarCfg(**BARE, periphery=around, in_range=1.0, w_range=1.0)
    w, x = _matrix(seeded, 6, n_in), _inputs(seeded, 2, 4, n_in)
    thrice = Crossbar(w, CrossbarCfg(**{**vars(cfg), "rows_per_weight": 3}), n_chips=2, generator=seeded())
    long = Crossbar(w.repeat(1, 3), cfg, n_chips=2, generator=seeded())
    torch.testing.assert_close(thrice(x), long(x.repeat(1, 1, 3)) / 3, rtol=1e-4, atol=1e-5)


def test_an_uncalibrated_converter_reads_with_its_gain(seeded):
    around = PeripheryCfg(gain_spread=0.0709, offset_spread=0.01, column_reads=0)
    w, x = _matrix(seeded, 200, 16), _inputs(seeded, 5, 3, 16)
    xbar = Crossbar(w, CrossbarCfg(**BARE, periphery=around, out_range=4.0), n_chips=5, generator=seeded())
    y = xbar(x)
    gain = (y[:, 0] - y[:, 1]) / (x[:, 0] - x[:, 1]).matmul(w.T)
    known = (x[:, 0] - x[:, 1]).matmul(w.T).abs() > 0.3
    assert float(gain[known].std()) == pytest.approx(0.0709, rel=0.1)
    offset = y - x @ w.T * _converters(xbar).gain
    torch.testing.assert_close(offset[:, 0], offset[:, 2], rtol=0, atol=1e-4)
    assert float(offset[:, 0].std()) == pytest.approx(0.04, rel=0.1)  # 1 % of a full scale of 4
    xbar.recalibrate()
    torch.testing.assert_close(xbar(x), y, rtol=0, atol=0)


def test_calibration_leaves_its_own_noise_and_is_billed(seeded):
    # gain is left with sqrt(2 / n) x noise = .2 x sqrt(2 / 50) = .04, offset with .2 / sqrt(100) = .02 of full scale
    around = PeripheryCfg(gain_spread=0.1, offset_spread=0.1, out_noise=0.2, column_reads=50)
    w = _matrix(seeded, 300, 8)
    cfg = CrossbarCfg(device="ideal", periphery=around, out_range=1.0, calibration_reads=1)
    xbar = Crossbar(w, cfg, n_chips=9, generator=seeded())
    converters = _converters(xbar)
    assert float((converters.seen_gain - converters.gain).std()) == pytest.approx(0.04, rel=0.05)
    assert float((converters.seen_offset - converters.offset).std()) == pytest.approx(0.02, rel=0.05)
    before = xbar.ledger.calibration_products.clone()
    xbar.recalibrate()
    spent = xbar.ledger.calibration_products - before
    assert spent.tolist() == [2 * (8 + 2 * 50)] * 9  # two cores of lines: 8 rows one by one, and 50 of each current
    again = _converters(xbar)
    assert torch.equal(again.gain, converters.gain)
    assert not torch.equal(again.seen_gain, converters.seen_gain)


@pytest.mark.parametrize("phases", [1, 4])
def test_noise_of_one_conversion_grows_with_the_phases_it_adds_up(phases, seeded):
    w, x = _matrix(seeded, 40, 8), _inputs(seeded, 1, 1, 8).expand(1, 2000, 8)
    cfg = CrossbarCfg(**BARE, periphery=PeripheryCfg(out_noise=0.02), out_range=5.0, phases=phases)
    noise = Crossbar(w, cfg, n_chips=1, generator=seeded())(x) - x @ w.T
    assert float(noise.std()) == pytest.approx(0.02 * 5.0 * phases**0.5, rel=0.02)


def test_noise_of_four_conversions(seeded):
    w, x = _matrix(seeded, 40, 8), _inputs(seeded, 1, 1, 8).expand(1, 2000, 8)
    around = PeripheryCfg(out_noise=0.02, conversion="each_phase", partial_range=0.25)
    noise = Crossbar(w, CrossbarCfg(**BARE, periphery=around, in_range=2.0), n_chips=1, generator=seeded())(x) - x @ w.T
    full_scale = 0.25 * 2.0 * torch.maximum(w.clamp(min=0).sum(1), (-w).clamp(min=0).sum(1))
    torch.testing.assert_close(noise.std(1)[0], 2 * 0.02 * full_scale, rtol=0.07, atol=0)


def test_read_noise_is_as_large_in_four_phases_apart(seeded):
    w, x = _matrix(seeded, 6, 40), _inputs(seeded, 1, 1, 40).expand(1, 20_000, 40)
    spreads = [
        Crossbar(
            w,
            CrossbarCfg(dac_bits=0, adc_bits=0, rows_per_weight=2, periphery=PeripheryCfg(conversion=conversion)),
            n_chips=1,
            generator=seeded(),
        )(x).std(1)
        for conversion in ("net", "each_phase")
    ]
    torch.testing.assert_close(spreads[1], spreads[0], rtol=0.04, atol=0)


def test_a_phase_clips_at_its_share_of_the_largest_current(seeded):
    w, around = torch.tensor([[1.0, 1.0, -0.5, -0.5]]), PeripheryCfg(conversion="each_phase")
    xbar = Crossbar(w, CrossbarCfg(device="ideal", periphery=around, in_range=1.0), n_chips=1, generator=seeded())
    before = xbar.ledger.products.clone()
    # the positive pair carries 2 at most, so full scale is 1 for every phase
    x = torch.tensor([[[0.4, 0.5, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [-1.0, -1.0, -1.0, -1.0]]])
    assert xbar(x).flatten().tolist() == pytest.approx([0.9, 1.0, 0.0, 0.0], abs=0.01)
    assert (xbar.ledger.products - before).tolist() == [4.0]


def test_polarities_matter_in_one_phase_alone(seeded):
    w, x = _matrix(seeded, 100, 30), _inputs(seeded, 4, 5, 30)
    around = PeripheryCfg(polarity_spread=0.1)
    one, four = (
        Crossbar(w, CrossbarCfg(**BARE, periphery=around, phases=phases), n_chips=4, generator=seeded())
        for phases in (1, 4)
    )
    torch.testing.assert_close(four(x), x @ w.T, rtol=1e-4, atol=1e-5)
    error = (one(x) - x @ w.T) / (x.abs().sum(-1, keepdim=True) * w.abs().mean(1))  # -d / 2
    assert float(error.std()) == pytest.approx(0.05, rel=0.1)
    torch.testing.assert_close(error[:, 0], error[:, 1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("phases", [1, 4])
def test_everything_that_errs_saves_loads_and_copies_to_the_bit(phases, seeded):
    around = PeripheryCfg(**{**vars(HERMES), "polarity_spread": 0.02})
    cfg = CrossbarCfg(periphery=around, phases=phases, slices=2, compensation="global", out_range=3.0)
    w, x, delta = _matrix(seeded, 4, 9), _inputs(seeded, 6, 2, 9), _matrix(seeded, 6, 4, 9, seed=3)

    def start(seed):
        return Crossbar(w, cfg, n_chips=3, generator=seeded(seed), bias=w[:, 0]).copies(2)

    def go_on(xbar):
        seen = [xbar(x), xbar.write(delta).energy_j, xbar(x)]
        xbar.advance(3600.0)
        return [*seen, xbar(x), xbar.factors, xbar.ledger.energy_j()]

    xbar = start(1)
    xbar.advance(86400.0)
    file = io.BytesIO()
    torch.save(xbar.state_dict(), file)
    file.seek(0)
    expected, resumed = go_on(xbar), start(2)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert all(torch.equal(a, b) for a, b in zip(expected, go_on(resumed), strict=True))
    gains = _converters(start(1)).gain
    assert torch.equal(gains[0], gains[1])
    assert not torch.equal(gains[0], gains[2])


def test_states_with_another_periphery_are_refused(seeded):
    plain, erring = (
        Crossbar(_matrix(seeded, 4, 9), CrossbarCfg(periphery=each), n_chips=1, generator=seeded())
        for each in (PeripheryCfg(), HERMES)
    )
    for ours, theirs in ((plain, erring), (erring, plain)):
        with pytest.raises(ValueError, match="periphery"):
            ours.load_state_dict(theirs.state_dict())


def test_four_erring_chips_are_the_first_four_of_nine(seeded):
    w, x = _matrix(seeded, 5, 7), _inputs(seeded, 9, 2, 7)
    few, many = (Crossbar(w, CrossbarCfg(periphery=HERMES), n_chips=k, generator=seeded()) for k in (4, 9))
    assert torch.equal(_converters(few).seen_gain, _converters(many).seen_gain[:4])
    torch.testing.assert_close(few(x[:4]), many(x)[:4], rtol=0.02, atol=0.02)  # a step of the converter


@pytest.mark.parametrize("phases", [1, 4])
def test_gradients_pass_everything_that_errs(phases, seeded):
    w = _matrix(seeded, 3, 20)
    cfg = CrossbarCfg(device="ideal", periphery=HERMES, phases=phases, in_range=1.5, out_range=5.0, adc_bits=12)
    xbar = Crossbar(w, cfg, n_chips=2, generator=seeded())
    x = _inputs(seeded, 2, 4, 20).requires_grad_()
    xbar(x).sum().backward()
    assert x.grad is not None
    assert float((x.grad - w.sum(0)).abs().max()) < 0.05 * float(w.sum(0).abs().max())


def test_a_vector_of_zeros_is_read_as_zero_plus_noise(seeded):
    xbar = Crossbar(_matrix(seeded, 3, 20), CrossbarCfg(periphery=HERMES), n_chips=2, generator=seeded())
    assert torch.isfinite(xbar(torch.zeros(2, 4, 20))).all()


def test_spikes_are_read_as_inputs_at_full_scale(seeded):
    around = PeripheryCfg(wire_ohm=5.0, gain_spread=0.05, column_reads=0, conversion="each_phase")
    cfg = CrossbarCfg(device="ideal", periphery=around, in_range=1.0, out_range=5.0)
    xbar = Crossbar(_matrix(seeded, 3, 20), cfg, n_chips=2, generator=seeded())
    spikes = (_inputs(seeded, 2, 4, 20) > 0.5).float()
    assert torch.equal(xbar.spikes(spikes), xbar(spikes))
