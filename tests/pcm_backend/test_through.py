"""Values of the chip, gradients of the exact product."""

import pytest
import torch
from torch import nn

from pcm_backend import Crossbar, CrossbarCfg, deploy, straight_through


@pytest.mark.parametrize("shared", [True, False])
def test_gradients_are_autograds_of_the_exact_product(shared, seeded):
    generator = seeded(1)
    shape = (5, 7) if shared else (3, 5, 7)
    weight, bias = torch.randn(shape, generator=generator), torch.randn(shape[:-1], generator=generator)
    x = torch.randn(3, 4, 7, generator=generator)
    crossbar = Crossbar(weight, n_chips=3, generator=seeded(), bias=bias)
    leaves = [each.requires_grad_() for each in (x, weight, bias)]
    y = straight_through(crossbar, x, weight, bias)
    exact = x @ weight.transpose(-1, -2) + (bias if shared else bias.unsqueeze(1))
    assert 0.0 < float((y - exact).detach().std() / exact.detach().std()) < 0.2
    outer = torch.randn(y.shape, generator=generator)
    got, wanted = (torch.autograd.grad((each * outer).sum(), leaves) for each in (y, exact))
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_the_value_is_the_chips(seeded):
    weight, x = torch.randn(5, 7, generator=seeded(1)), torch.randn(2, 4, 7, generator=seeded(2))
    one, other = (Crossbar(weight, n_chips=2, generator=seeded()) for _ in range(2))
    assert torch.equal(straight_through(one, x, weight.requires_grad_()), other(x))


def test_gradients_can_be_differentiated_again(seeded):
    """As a meta-learner does, whose inner step is a gradient; the ideal chip holds the very weights."""
    weight = torch.randn(3, 4, generator=seeded(1)).requires_grad_()
    x, target = torch.randn(2, 6, 4, generator=seeded(2)), torch.randn(2, 6, 3, generator=seeded(3))
    crossbar = Crossbar(weight, CrossbarCfg(device="ideal", dac_bits=0, adc_bits=0), n_chips=2, generator=seeded())

    def second(y):
        step = torch.autograd.grad((y - target).square().sum(), weight, create_graph=True)[0]
        return torch.autograd.grad(step.square().sum(), weight)[0]

    wanted = second(x @ weight.T)
    torch.testing.assert_close(second(straight_through(crossbar, x, weight)), wanted, rtol=1e-4, atol=1e-3)


def test_a_deployed_layer_trains_its_float_twin(seeded):
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 3, 3)
    layer = deploy(conv, n_chips=2, generator=seeded()).layers["conv2d"]
    x = torch.randn(2, 4, 2, 6, 6, generator=seeded())
    got = torch.autograd.grad(layer.through(conv)(x).sum(), list(conv.parameters()))
    wanted = torch.autograd.grad(conv(x.flatten(0, 1)).sum(), list(conv.parameters()))
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)


def test_sizes_that_do_not_fit_are_named(seeded):
    crossbar = Crossbar(torch.ones(5, 7), n_chips=3, generator=seeded())
    with pytest.raises(ValueError, match=r"\(3, 4, 7\), \(5, 6\)"):
        straight_through(crossbar, torch.ones(3, 4, 7), torch.ones(5, 6))
