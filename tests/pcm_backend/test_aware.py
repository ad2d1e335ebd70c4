"""Training through the chip before it is programmed."""

import pytest
import torch
from torch import nn

from pcm_backend import CrossbarCfg, deploy, hardware_aware, without_hardware

IDEAL = CrossbarCfg(device="ideal", dac_bits=0, adc_bits=0)


class _Net(nn.Module):
    """One layer of each kind."""

    def __init__(self):
        super().__init__()
        self.conv, self.lstm, self.gru = nn.Conv2d(2, 3, 3), nn.LSTM(12, 5), nn.GRU(5, 4)
        self.head, self.gain = nn.Linear(4, 2), nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        features = torch.tanh(self.conv(x)).flatten(1).unsqueeze(1)
        return self.gain * self.head(self.gru(self.lstm(features)[0])[0])


@pytest.fixture
def net():
    torch.manual_seed(0)
    return _Net()


def _gradients(module, x):
    return torch.autograd.grad(module(x).square().sum(), list(module.parameters()))


def test_on_an_ideal_chip_it_is_the_module_with_its_gradients(net, seeded):
    x = torch.randn(6, 2, 4, 4, generator=seeded())
    aware = hardware_aware(net, IDEAL, generator=seeded())
    torch.testing.assert_close(aware(x), net(x), rtol=1e-5, atol=1e-5)
    for got, wanted in zip(_gradients(aware, x), _gradients(net, x), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def test_parameters_keep_their_names_and_the_module_given_its_own(net, seeded):
    aware = hardware_aware(net, generator=seeded())
    assert list(aware.state_dict()) == list(net.state_dict())
    with torch.no_grad():
        for each in aware.parameters():
            each.add_(1.0)
    assert not torch.equal(aware.state_dict()["conv.weight"], net.conv.weight)
    plain = without_hardware(aware)
    assert isinstance(plain.conv, nn.Conv2d)
    assert torch.equal(plain.conv.weight, aware.state_dict()["conv.weight"])
    net.load_state_dict(aware.state_dict())
    assert torch.equal(net.lstm.weight_hh_l0, aware.state_dict()["lstm.weight_hh_l0"])


def test_a_trained_module_is_deployed_as_it_is(net, seeded):
    x = torch.randn(6, 2, 4, 4, generator=seeded())
    chip = deploy(hardware_aware(net.head, generator=seeded()), IDEAL, n_chips=2, generator=seeded())
    h = torch.randn(2, 3, 4, generator=seeded())
    torch.testing.assert_close(chip(h), net.head(h).detach(), rtol=1e-5, atol=1e-5)
    assert torch.isfinite(hardware_aware(net, generator=seeded())(x)).all()


@pytest.mark.parametrize("layer", [nn.Linear(5, 7), nn.Conv2d(5, 7, 2), nn.GRU(5, 7), nn.LSTM(5, 7, batch_first=True)])
def test_samples_are_dealt_to_several_chips(layer, seeded):
    """On ideal chips nothing changes; on others a chip's samples share its error, and the next chip's have another."""
    shape = {nn.Linear: (6, 5), nn.Conv2d: (6, 5, 3, 3), nn.GRU: (4, 6, 5), nn.LSTM: (6, 4, 5)}[type(layer)]
    x = torch.ones(shape)
    first = (lambda y: y[0]) if isinstance(layer, nn.RNNBase) else (lambda y: y)
    ideal = hardware_aware(layer, IDEAL, generator=seeded(), n_chips=4)  # three divide six
    torch.testing.assert_close(first(ideal(x)), first(layer(x)), rtol=1e-5, atol=1e-5)
    quiet = CrossbarCfg(read_noise="off", dac_bits=0, adc_bits=0)
    y = first(hardware_aware(layer, quiet, generator=seeded(), n_chips=4)(x))
    y = y.transpose(0, 1) if isinstance(layer, nn.GRU) else y
    torch.testing.assert_close(y[0::2], y[1::2])
    assert not torch.allclose(y[0], y[2], atol=1e-3)


def test_noise_is_redrawn_at_each_pass_and_comes_from_the_generator(net, seeded):
    x = torch.randn(6, 2, 4, 4, generator=seeded())
    one, other = (hardware_aware(net, generator=seeded(3)) for _ in range(2))
    first = one(x)
    assert torch.equal(first, other(x))
    assert not torch.equal(first, one(x))


def test_its_error_is_that_of_a_deployed_chip_young_and_old(seeded):
    """Same mean square over many chips, within the spread of a mean of 60 of them."""
    torch.manual_seed(0)
    linear, x = nn.Linear(20, 30), torch.randn(50, 20, generator=seeded())
    for age_s in (0.0, 3e7):  # new, and a year old
        chip = deploy(linear, n_chips=64, generator=seeded(), calibration=x)
        if age_s:
            chip.advance(age_s)
        wanted = (chip(x.expand(64, -1, -1)) - linear(x)).square().mean()
        aware = hardware_aware(linear, generator=seeded(1), calibration=x, age_s=age_s)
        got = torch.stack([(aware(x) - linear(x)).square().mean() for _ in range(60)]).mean()
        assert (got / wanted).item() == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize(("steps", "share"), [(200, 0.9), pytest.param(2000, 0.6, marks=pytest.mark.slow)])
def test_a_net_trained_with_it_loses_less_on_the_chip(steps, share, seeded):
    """Both start from the same float net and take equally many further steps."""
    x = 2 * torch.rand(128, 2, generator=seeded(1000)) - 1
    y = torch.sin(3 * x[:, :1]) * torch.cos(3 * x[:, 1:])
    torch.manual_seed(1000)
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
    _train(net, x, y, 1000)
    lost = []
    for each in (hardware_aware(net, generator=seeded(1), n_chips=16), net):
        _train(each, x, y, steps)
        chip = deploy(each, n_chips=64, generator=seeded(2), calibration=x)
        lost.append(float((chip(x.expand(64, -1, -1)) - y).square().mean()))
    assert lost[0] < share * lost[1]


def _train(module, x, y, steps):
    optimizer = torch.optim.Adam(module.parameters(), lr=2e-2)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 2e-2 * (1 - step / steps)
        optimizer.zero_grad()
        (module(x) - y).square().mean().backward()
        optimizer.step()


def test_wrong_names_and_ages_are_named(net, seeded):
    with pytest.raises(ValueError, match=r"tail.*conv"):
        hardware_aware(net, generator=seeded(), layers={"tail": IDEAL})
    with pytest.raises(ValueError, match=r"-1\.0"):
        hardware_aware(net, generator=seeded(), age_s=-1.0)
    with pytest.raises(ValueError, match="n_chips"):
        hardware_aware(net, generator=seeded(), n_chips=0)
