"""Layers with more rows than a core: each core has converters and factors of its own, sums are added digitally."""

import pytest
import torch
from torch import nn

from pcm_backend import Crossbar, CrossbarCfg, deploy
from pcm_backend.chip import row_blocks

IDEAL = CrossbarCfg(device="ideal", dac_bits=0, adc_bits=0)


def test_cores_are_filled_alike():
    assert row_blocks(256) == (slice(0, 256),)
    assert row_blocks(504) == (slice(0, 252), slice(252, 504))  # a kernel of the paper's floor plan
    assert row_blocks(515) == (slice(0, 171), slice(171, 343), slice(343, 515))


@pytest.mark.parametrize("options", [{}, {"slices": 2}, {"rows_per_weight": 3}, {"adc_bits": 16, "out_range": 400.0}])
def test_ideal_is_the_product_whatever_the_cores(options, seeded):
    weights, bias = torch.randn(7, 300, generator=seeded(1)), torch.randn(7, generator=seeded(2))
    cfg = CrossbarCfg(**{"device": "ideal", "dac_bits": 0, "adc_bits": 0, **options})
    xbar = Crossbar(weights, cfg, n_chips=2, generator=seeded(), bias=bias)
    x = torch.randn(2, 5, 300, generator=seeded(3)).requires_grad_()
    y = xbar(x)
    torch.testing.assert_close(y, x @ weights.T + bias, rtol=1e-4, atol=2e-2 if options.get("adc_bits") else 1e-4)
    outer = torch.randn(y.shape, generator=seeded(4))
    got = torch.autograd.grad((y * outer).sum(), x)[0]
    torch.testing.assert_close(got, outer @ weights, rtol=1e-4, atol=1e-4)


def test_each_core_converts_its_own_sum_by_hand(seeded):
    weights = torch.cat([torch.full((1, 256), 1.0), torch.full((1, 256), 0.5)], 1)
    x = torch.ones(1, 1, 512)
    # 8 bits: 127 steps. Of 300 each is 2.3622: 256 reads as 108 of them, 128 as 54.
    one = Crossbar(weights, CrossbarCfg(device="ideal", out_range=300.0), n_chips=1, generator=seeded())
    assert float(one(x)) == pytest.approx((108 + 54) * 300 / 127, rel=1e-5)
    # The second core's own full scale of 100 clips its 128.
    cfg = CrossbarCfg(device="ideal", out_range=(300.0, 100.0))
    assert float(Crossbar(weights, cfg, n_chips=1, generator=seeded())(x)) == pytest.approx(
        108 * 300 / 127 + 100, rel=1e-5
    )
    assert one.ledger.products.tolist() == [2.0]


def test_a_calibration_batch_gives_every_core_its_range(seeded):
    linear, x = nn.Linear(299, 4), torch.randn(9, 299, generator=seeded())
    cfg = deploy(linear, IDEAL, n_chips=1, generator=seeded(), calibration=x).layers["linear"].crossbar.cfg
    first = x[:, :150] @ linear.weight[:, :150].T
    second = x[:, 150:] @ linear.weight[:, 150:].T + linear.bias  # the bias is the last row
    wanted = torch.cat([first.abs().amax(0), second.abs().amax(0)]) * 1.1
    assert cfg.out_range == pytest.approx(wanted.tolist(), rel=1e-5)


def test_every_core_is_compensated_by_itself(seeded):
    """Its first core holds large weights and the second small ones, which drift faster."""
    weights = torch.cat([torch.full((20, 256), 1.0), torch.full((20, 256), 0.2)], 1)
    xbar = Crossbar(weights, CrossbarCfg(read_noise="off"), n_chips=4, generator=seeded())
    xbar.advance(3e7)
    assert xbar.factors.shape == (4, 1, 20, 2)
    first, second = xbar.factors.mean((0, 1, 2))
    assert float(second - first) > 0.2
    for half in (slice(0, 256), slice(256, 512)):
        assert float(xbar.weights()[..., half].mean() / weights[:, half].mean()) == pytest.approx(1.0, abs=0.05)


def test_a_write_touches_its_own_cores_and_reads_as_aimed(seeded):
    weights = 0.3 * torch.randn(16, 400, generator=seeded(1))
    xbar = Crossbar(weights, CrossbarCfg(read_noise="off", w_range=2.0), n_chips=8, generator=seeded())
    xbar.advance(1e6)
    before, factors = xbar.weights(), xbar.factors
    delta = torch.zeros(16, 400)
    delta[:, :200] = 0.5
    xbar.write(delta)
    change = xbar.weights() - before
    assert torch.equal(change[..., 200:], torch.zeros(8, 16, 200))
    assert float(change[..., :200].mean()) == pytest.approx(0.5, abs=0.01)
    xbar.recalibrate()
    assert torch.equal(xbar.factors[..., 1], factors[..., 1])
    assert float((xbar.factors[..., 0] / factors[..., 0] - 1).abs().max()) < 1e-5


def test_the_noise_of_a_read_is_that_of_all_its_rows(seeded):
    xbar = Crossbar(torch.ones(3, 512), CrossbarCfg(dac_bits=0, adc_bits=0), n_chips=2, generator=seeded())
    x = torch.ones(2, 4000, 512)
    _, variance = xbar._array.pairs.moments()
    assert variance is not None
    wanted = (variance.sum((1, 2, -1)) / xbar._array.unit.square().view(2, 3)).sqrt()
    torch.testing.assert_close(xbar(x).std(1), wanted, rtol=0.05, atol=0.0)


def test_copies_and_states_of_several_cores(seeded):
    weights, x = torch.randn(5, 600, generator=seeded(1)), torch.randn(2, 3, 600, generator=seeded(2))
    chip, resumed = (Crossbar(weights, n_chips=2, generator=seeded(s)) for s in (1, 2))
    chip.advance(3600.0)
    resumed.load_state_dict(chip.state_dict())
    for each in (chip, resumed):
        each.write(torch.full((5, 600), 0.1))
        each.advance(60.0)
    assert torch.equal(chip(x), resumed(x))
    twins = chip.copies(2)
    assert torch.equal(twins.factors, chip.factors.repeat_interleave(2, 0))
    assert twins(x.repeat_interleave(2, 0)).shape == (4, 3, 5)
