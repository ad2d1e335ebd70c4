"""The features: against torch's own layers, and what each kind of statistics may depend on."""

import pytest
import torch
from torch.nn import functional as fn

from agents.convnet import NETS, ConvNet, ConvNetCfg, Statistics, as_module, features, settled_statistics

CFG = ConvNetCfg(channels=5)


@pytest.fixture
def net(seeded):
    net = ConvNet(CFG)
    net.draw(seeded(0))
    return net.double()


def pictures(n, seeded):
    return torch.rand(n, 1, 28, 28, dtype=torch.float64, generator=seeded(1))


def stock_features(net, x):
    """The same by torch's layers, batch statistics."""
    for kernel in net.kernel:
        x = fn.batch_norm(fn.relu(fn.conv2d(x, kernel, stride=2, padding=1)), None, None, training=True, eps=1e-3)
    return fn.max_pool2d(x, 2, 1).flatten(1)


def test_features_are_those_of_stock_layers(net, seeded):
    x = pictures(12, seeded)
    found, seen = features(x, list(net.kernel), CFG)
    torch.testing.assert_close(found, stock_features(net, x))
    assert seen.mean.shape == seen.var.shape == (4, 1, 5)


def test_the_gradient_is_that_of_stock_layers(net, seeded):
    x = pictures(12, seeded)
    grads = [
        torch.autograd.grad(f.square().sum(), list(net.kernel))
        for f in (features(x, list(net.kernel), CFG)[0], stock_features(net, x))
    ]
    torch.testing.assert_close(grads[0], grads[1])


def test_given_the_statistics_it_has_a_batch_gives_the_same_features(net, seeded):
    x = pictures(12, seeded)
    own, seen = features(x, list(net.kernel), CFG)
    torch.testing.assert_close(features(x, list(net.kernel), CFG, seen)[0], own)
    settled = settled_statistics(x, list(net.kernel), CFG)
    torch.testing.assert_close(settled, Statistics(seen.mean.detach(), seen.var.detach()))


def test_groups_are_normalised_as_if_each_were_alone(net, seeded):
    x = pictures(12, seeded)
    kernels = list(net.kernel)
    grouped = settled_statistics(x, kernels, CFG, groups=3)
    together = features(x, kernels, CFG, grouped)[0]
    alone = torch.cat([features(part, kernels, CFG)[0] for part in x.split(4)])
    torch.testing.assert_close(together, alone)


def other_statistics(seeded):
    mean, var = torch.rand(2, 4, 1, 5, dtype=torch.float64, generator=seeded(3))
    return Statistics(mean, var + 0.2)


def test_normalised_towards_statistics_values_are_theirs_and_gradients_the_batchs(net, seeded):
    x, toward = pictures(12, seeded), other_statistics(seeded)
    kernels = list(net.kernel)
    found, seen = features(x, kernels, CFG, toward=toward)
    torch.testing.assert_close(found, features(x, kernels, CFG, toward)[0])
    # Batch statistics make a kernel's length irrelevant: along it the gradient vanishes, but for eps. Constants do not.
    gradient = torch.autograd.grad(found.square().sum(), kernels[0], retain_graph=True)[0]
    constant = torch.autograd.grad(features(x, kernels, CFG, toward)[0].square().sum(), kernels[0])[0]
    along, along_constant = ((g * kernels[0]).sum((1, 2, 3)).abs().max() for g in (gradient, constant))
    assert along < 0.05 * along_constant
    assert not torch.equal(seen.mean[0], toward.mean[0])


def test_torchs_layers_give_the_features_with_running_statistics(net, seeded):
    net.follow(other_statistics(seeded), rate=1.0)
    x = pictures(6, seeded)
    module = as_module(net).double()
    torch.testing.assert_close(module(x), features(x, list(net.kernel), CFG, net.statistics())[0], check_dtype=False)


def test_running_statistics_follow_what_is_seen(net, seeded):
    _, seen = features(pictures(12, seeded), list(net.kernel), CFG)
    net.follow(seen, rate=0.25)
    torch.testing.assert_close(net.mean, 0.25 * seen.mean)  # from mean 0, variance 1
    torch.testing.assert_close(net.var, 0.75 + 0.25 * seen.var)


@pytest.mark.parametrize(("name", "count", "inputs"), [("small", 85_176, 56), ("large", 1_771_776, 257)])
def test_networks_have_the_published_sizes(name, count, inputs):
    # 9 x 56 + 3 x 9 x 56 x 56 = 85,176 (and 280 in a readout of 5 ways); 9 x 256 + 3 x 9 x 256 x 256 = 1,771,776
    net = ConvNet(NETS[name])
    assert sum(kernel.numel() for kernel in net.kernel) == count
    found, _ = features(torch.zeros(2, 1, 28, 28), list(net.kernel), net.cfg)
    assert found.shape == (2, inputs)
    if net.cfg.readout_bias:
        assert (found[:, -1] == 1).all()


def test_a_network_of_no_width_is_refused():
    with pytest.raises(ValueError, match="channels must be at least 1, got 0"):
        ConvNetCfg(channels=0)
