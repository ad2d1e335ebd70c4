"""Networks with torch's pooling and normalising layers beside those on the chip."""

import pytest
import torch
from torch import nn

from pcm_backend import CrossbarCfg, deploy

IDEAL = CrossbarCfg(device="ideal", dac_bits=0, adc_bits=0)


@pytest.fixture
def net(seeded):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, bias=False),
        nn.BatchNorm2d(6, affine=False),
        nn.Flatten(),
        nn.Linear(24, 5),
        nn.BatchNorm1d(5, momentum=0.3),
        nn.Softmax(1),
    )
    net(torch.randn(32, 2, 8, 8, generator=seeded(4)))  # statistics of its own
    return net


@pytest.mark.parametrize("training", [False, True])
def test_ideal_is_the_float_network_with_each_chips_own_batch(net, training, seeded):
    net.train(training)
    x = torch.randn(3, 7, 2, 8, 8, generator=seeded())
    chip = deploy(net, IDEAL, n_chips=3, generator=seeded())
    got = chip(x)
    for k in range(3):
        alone = deploy(net, IDEAL, n_chips=1, generator=seeded())
        torch.testing.assert_close(got[k], alone(x[k : k + 1])[0])
        if not training:
            torch.testing.assert_close(got[k], net(x[k]), rtol=1e-5, atol=1e-5)
    if training:
        for name in ("1", "5", "8"):
            mean, var = chip.norms[name].mean, chip.norms[name].var
            twin = deploy(net, IDEAL, n_chips=1, generator=seeded())
            twin(x[:1])
            torch.testing.assert_close((mean[0], var[0]), (twin.norms[name].mean[0], twin.norms[name].var[0]))
        wanted = net(x[0])  # last, for it moves the float network's own statistics
        torch.testing.assert_close(got[0], wanted, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(chip.norms["8"].mean[0], net[8].running_mean, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(chip.norms["8"].var[0], net[8].running_var, rtol=1e-5, atol=1e-5)


def test_renormalizing_takes_the_statistics_of_each_chips_own_outputs(net, seeded):
    net.eval()
    chip = deploy(net, n_chips=4, generator=seeded())
    x = torch.randn(4, 16, 2, 8, 8, generator=seeded(), requires_grad=False)
    chip.renormalize(x)
    norm = chip.norms["1"]
    assert not norm.training
    assert float((norm.mean[0] - norm.mean[1]).abs().max()) > 1e-3  # the chips differ
    noiseless = CrossbarCfg(device="hermes_2", read_noise="off")
    chip = deploy(net, noiseless, n_chips=4, generator=seeded())
    chip.renormalize(x)
    y = chip.layers["0"](x)
    torch.testing.assert_close(chip.norms["1"].mean, y.mean((1, 3, 4)))
    torch.testing.assert_close(chip.norms["1"](y).std((1, 3, 4)), net[1].weight.expand(4, -1), rtol=1e-3, atol=1e-3)


def test_statistics_are_copied_and_saved_with_the_chips(net, seeded):
    net.eval()
    chip, resumed = (deploy(net, n_chips=2, generator=seeded(s)) for s in (1, 2))
    x = torch.randn(2, 7, 2, 8, 8, generator=seeded())
    chip.renormalize(x)
    resumed.load_state_dict(chip.state_dict())
    assert torch.equal(chip(x), resumed(x))
    twins = chip.copies(2)
    assert torch.equal(twins.norms["5"].mean, chip.norms["5"].mean.repeat_interleave(2, 0))
    assert list(twins.module.children())[5] is twins.norms["5"]
    twins.renormalize(torch.ones(4, 3, 2, 8, 8))
    assert not torch.equal(twins.norms["5"].mean[0], chip.norms["5"].mean[0])


def test_gradients_are_the_float_networks(net, seeded):
    net.eval()
    x = torch.randn(2, 7, 2, 8, 8, generator=seeded())
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    got = torch.autograd.grad(deploy(net, IDEAL, n_chips=2, generator=seeded())(mine).square().sum(), mine)[0]
    wanted = torch.autograd.grad(net(theirs.flatten(0, 1)).square().sum(), theirs)[0]
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_modules_that_read_their_layers_weights_stay_in_software_whole(seeded):
    net = nn.ModuleDict({"attention": nn.MultiheadAttention(4, 2), "head": nn.Linear(4, 3)})
    chip = deploy(net, n_chips=1, generator=seeded())
    assert set(chip.layers) == {"head"}
    assert any("attention.out_proj" in each for each in chip.in_software)


def test_a_batch_of_another_shape_is_named(net, seeded):
    chip = deploy(net, n_chips=2, generator=seeded())
    with pytest.raises(ValueError, match=r"\(2, batch, 4, \.\.\.\), got \(2, 3, 5, 8, 8\)"):
        chip.norms["1"](torch.zeros(2, 3, 5, 8, 8))
