"""Networks on the chip."""

from typing import NamedTuple

import pytest
import torch
from torch import nn

from pcm_backend import CrossbarCfg, deploy


class _Pair(NamedTuple):
    y: torch.Tensor
    hidden: torch.Tensor


class _Net(nn.Module):
    """Two outputs, one layer used twice, a gain that stays in software."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.norm = nn.Linear(6, 8), nn.Linear(8, 8, bias=False), nn.LayerNorm(8)
        self.gain = nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        hidden = torch.tanh(self.first(x))
        return _Pair(self.gain * self.again(self.norm(self.again(hidden))), hidden)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return _Net()


IDEAL = CrossbarCfg(device="ideal", dac_bits=0, adc_bits=0)


@pytest.mark.parametrize("calibrated", [False, True])
def test_ideal_is_the_float_network(net, calibrated, seeded):
    x = torch.randn(3, 5, 6, generator=seeded())
    calibration = x.flatten(0, 1) if calibrated else None
    chip = deploy(net, IDEAL, n_chips=3, generator=seeded(), calibration=calibration)
    for got, wanted in zip(chip(x), net(x), strict=True):
        torch.testing.assert_close(got, wanted.detach(), rtol=1e-5, atol=1e-5)
    assert isinstance(net.first, nn.Linear)  # the module given stays what it was


def test_calibration_sets_the_ranges_of_converters(net, seeded):
    x = torch.randn(64, 6, generator=seeded())
    chip = deploy(net, CrossbarCfg(), n_chips=2, generator=seeded(), calibration=x)
    cfg = chip.layers["first"].crossbar.cfg
    assert cfg.in_range == pytest.approx(1.1 * float(x.abs().max()))
    assert cfg.out_range == pytest.approx((1.1 * net.first(x).abs().amax(0)).tolist(), rel=1e-5)
    assert (
        deploy(net, CrossbarCfg(in_range=9.0), n_chips=1, generator=seeded(), calibration=x)
        .layers["first"]
        .crossbar.cfg.in_range
        == 9.0
    )


def test_hermes_is_near_the_float_network_and_eight_bits_nearer(net, seeded):
    x = torch.randn(8, 64, 6, generator=seeded())
    wanted = net(x).hidden.detach()

    def error(**cfg):
        chip = deploy(net, CrossbarCfg(**cfg), n_chips=8, generator=seeded(), calibration=x[0])
        return float((chip(x).hidden - wanted).square().mean().sqrt() / wanted.std())

    assert error(device="ideal") < 0.02
    assert 0.02 < error() < 0.25
    assert error(slices=2, read_noise="off") < error(read_noise="off")


def test_what_stays_in_software_is_listed(net, seeded):
    chip = deploy(net, IDEAL, n_chips=1, generator=seeded())
    listed = "\n".join(chip.in_software)
    assert "norm: LayerNorm" in listed
    assert "gain: tensor" in listed
    assert "first" not in listed
    assert all(line in repr(chip) for line in chip.in_software)
    assert set(chip.layers) == {"first", "again"}


def test_layers_may_differ_and_unknown_ones_are_named(net, seeded):
    chip = deploy(net, IDEAL, n_chips=1, generator=seeded(), layers={"again": CrossbarCfg(slices=2)})
    assert [layer.crossbar.cfg.slices for layer in chip.layers.values()] == [1, 2]
    with pytest.raises(ValueError, match=r"head.*again.*first"):
        deploy(net, n_chips=1, generator=seeded(), layers={"head": IDEAL})
    with pytest.raises(ValueError, match="Tanh"):
        deploy(nn.Tanh(), n_chips=1, generator=seeded())


def test_a_lone_linear_layer_and_more_dimensions(seeded):
    linear = nn.Linear(4, 2)
    chip = deploy(linear, IDEAL, n_chips=2, generator=seeded())
    x = torch.randn(2, 3, 5, 4, generator=seeded())
    torch.testing.assert_close(chip(x), linear(x).detach(), rtol=1e-5, atol=1e-5)


def test_copies_share_the_past_not_the_future_nor_the_module(net, seeded):
    chip = deploy(net, n_chips=2, generator=seeded())
    chip.advance(3600.0)
    twins = chip.copies(3)
    for name, layer in chip.layers.items():
        twin = twins.layers[name].crossbar
        assert torch.equal(twin.weights(), layer.crossbar.weights().repeat_interleave(3, 0))
    before = chip.layers["again"].crossbar.weights()
    twins.layers["again"].crossbar.write(torch.full((8, 8), 0.2))
    assert torch.equal(chip.layers["again"].crossbar.weights(), before)
    y = twins(torch.ones(6, 1, 6)).y
    assert not torch.equal(y[0], y[1])
    assert float(twins.ledger.products[0]) == 3.0  # one layer is read twice


def test_a_saved_state_goes_on_to_the_bit(net, seeded):
    x = torch.ones(2, 4, 6)
    chip, resumed = (deploy(net, n_chips=2, generator=seeded(s), calibration=x[0]) for s in (1, 2))
    chip.advance(3600.0)
    resumed.load_state_dict(chip.state_dict())
    for each in (chip, resumed):
        each.advance(60.0)
    assert torch.equal(chip(x).y, resumed(x).y)
    assert torch.equal(chip.ledger.energy_j(), resumed.ledger.energy_j())
    with pytest.raises(ValueError, match="first"):
        chip.load_state_dict({})


def test_the_merged_bill_is_the_sum(net, seeded):
    chip = deploy(net, n_chips=2, generator=seeded())
    parts = [layer.crossbar.ledger.energy_j() for layer in chip.layers.values()]
    assert torch.equal(chip.ledger.energy_j() > 0, torch.ones(2, dtype=torch.bool))
    torch.testing.assert_close(chip.ledger.energy_j(), sum(parts))


def test_gradients_pass_through_the_chip(net, seeded):
    chip = deploy(net, n_chips=2, generator=seeded(), calibration=torch.randn(64, 6, generator=seeded()))
    x = (torch.rand(2, 3, 6, generator=seeded()) - 0.5).requires_grad_()
    wanted = torch.autograd.grad(net(x).hidden.sum(), x)[0]
    got = torch.autograd.grad(chip(x).hidden.sum(), x)[0]
    assert float(torch.nn.functional.cosine_similarity(got.flatten(), wanted.flatten(), 0)) > 0.97
