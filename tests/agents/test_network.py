import math

import pytest
import torch

from agents.network import FixedLayers, NetworkCfg, encode, initialise


def test_encode_by_hand():
    cfg = NetworkCfg(2, (0, 1))
    q, qd = torch.tensor([math.pi / 6, math.pi / 3]), torch.tensor([0.1, -10.0])
    x = encode(cfg, q, qd, torch.tensor([25.0, -80.0]))
    # sines and cosines of 30, 60 and 30 + 60 degrees; velocities over 5 rad/s, at most 1; tanh(.1 / .1) and tanh(-100);
    # accelerations over 50 rad/s2, at most 1
    half, root = 0.5, math.sqrt(3) / 2
    wanted = [half, root, 1.0, root, half, 0.0, 0.02, -1.0, math.tanh(1.0), -1.0, 0.5, -1.0]
    torch.testing.assert_close(x, torch.tensor(wanted), atol=1e-6, rtol=0)


def test_only_parallel_joints_add_up():
    cfg = NetworkCfg(5, (1, 2, 3))
    q = torch.tensor([1.0, 0.1, 0.2, 0.4, 2.0])
    x = encode(cfg, q, torch.zeros(5), torch.zeros(5))
    assert x.shape == (cfg.n_inputs,) == (29,)  # 5 joints of 5 numbers, and 2 sums of 2
    torch.testing.assert_close(x[:7], torch.sin(torch.tensor([1.0, 0.1, 0.2, 0.4, 2.0, 0.3, 0.7])))


def test_encoding_is_within_the_converters(seeded):
    cfg = NetworkCfg(5, (1, 2, 3))
    parts = [100 * torch.randn(64, 5, generator=seeded(k)) for k in range(3)]
    assert encode(cfg, *parts).abs().max() <= 1.0


def test_fixed_layers_by_hand():
    layers = FixedLayers(NetworkCfg(1, (0,), hidden=1, n_features=2))
    with torch.no_grad():
        for layer, weight, bias in (
            (layers.first, 0.2, 0.1), (layers.second, 2.0, 0.0), (layers.feature, -1.0, 0.5), (layers.innate, 3.0, 0.25)
        ):  # fmt: skip
            layer.weight.fill_(weight)
            layer.bias.fill_(bias)
    reading = layers(torch.full((5,), 0.5))
    hidden = math.tanh(2 * math.tanh(5 * 0.2 * 0.5 + 0.1))
    torch.testing.assert_close(reading.features, torch.tensor([math.tanh(0.5 - hidden), 1.0]))
    torch.testing.assert_close(reading.command, torch.tensor([3 * hidden + 0.25]))


def test_initial_weights_come_from_the_generator(seeded):
    one, same, other = (FixedLayers(NetworkCfg(2, (0, 1), 8, 4)) for _ in range(3))
    for layers, seed in ((one, 1), (same, 1), (other, 2)):
        initialise(layers, seeded(seed))
    assert torch.equal(one.first.weight, same.first.weight)
    assert not torch.equal(one.first.weight, other.first.weight)
    bound = math.sqrt(6 / (12 + 8))  # Glorot and Bengio 2010: uniform within sqrt(6 / (inputs + outputs))
    assert 0.9 * bound < one.first.weight.abs().max() <= bound


@pytest.mark.parametrize("sizes", [{"n_joints": 0}, {"hidden": 0}, {"n_features": 1}])
def test_impossible_sizes_are_named(sizes):
    with pytest.raises(ValueError, match=f"{next(iter(sizes))} must be at least"):
        NetworkCfg(**{"n_joints": 2, "parallel_joints": (0, 1)} | sizes)
