"""Spikes on the chip: the same reads as dense products, at the price of the rows that spike."""

import pytest
import torch

from pcm_backend import Crossbar, CrossbarCfg, CrossbarSpiking, FaultCfg, PeripheryCfg

IDEAL = CrossbarCfg(device="ideal", dac_bits=0, adc_bits=0)


def _spikes(*shape, seed=5, share=0.2):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share).float()


@pytest.mark.parametrize("shape", [(3,), (3, 4)])
def test_a_step_on_an_ideal_chip_is_the_exact_current(shape, seeded):
    w_in, w_rec = torch.randn(9, 5, generator=seeded(1)), torch.randn(9, 9, generator=seeded(2))
    layer = CrossbarSpiking.program(w_in, w_rec, IDEAL, n_chips=3, generator=seeded())
    x, z = _spikes(*shape, 5), _spikes(*shape, 9, seed=6)
    torch.testing.assert_close(layer.step(x, z), x @ w_in.T + z @ w_rec.T, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.step(x * 0, z * 0), torch.zeros(*shape, 9))
    got = layer.weights()
    torch.testing.assert_close(got, (w_in.expand(3, -1, -1), w_rec.expand(3, -1, -1)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"in_range": 1.0, "out_range": 6.0},
        {"in_range": 2.0, "adc_bits": 0},
        {"slices": 2, "out_range": 6.0, "out_doublings": 2},
        {"rows_per_weight": 2, "read_noise": "frozen"},
        {"read_noise": "off"},
        {"faults": FaultCfg(stuck_set=0.01, dead_rows=1, dead_columns=1)},
        {"periphery": PeripheryCfg.hermes(), "out_range": 6.0},
    ],
    ids=str,
)
def test_sparse_reads_are_the_dense_reads(options, seeded):
    """Same chips, same streams: the numbers differ by the order of sums at most, and a step of the converter."""
    weights, spikes = torch.randn(20, 30, generator=seeded(1)), _spikes(4, 6, 30)
    sparse, dense = (Crossbar(weights, CrossbarCfg(**options), n_chips=4, generator=seeded()) for _ in range(2))
    for each in (sparse, dense):
        each.advance(3600.0)
    got, wanted = sparse.spikes(spikes), dense(spikes * options.get("in_range", 1.0))
    apart = (got - wanted).abs()
    assert float((apart > 1e-4).float().mean()) < 0.01  # a sum at the edge of two steps may fall to either side
    assert float(apart.max()) < 0.15
    assert torch.equal(sparse.ledger.products, dense.ledger.products)
    for each in (sparse, dense):
        each.write(torch.full((20, 30), 0.2))
    assert (
        float(((sparse.spikes(spikes) - dense(spikes * options.get("in_range", 1.0))).abs() > 1e-4).float().mean())
        < 0.01
    )


@pytest.mark.parametrize("options", [{}, {"periphery": PeripheryCfg.hermes()}], ids=str)
def test_rows_are_driven_at_their_levels(options, seeded):
    """A level is what the input's converter makes of it: with 8 bits 1 of 4 becomes 32 of 127 steps, 1.0079."""
    weights, spikes = torch.randn(20, 30, generator=seeded(1)), _spikes(4, 6, 30)
    cfg = CrossbarCfg(in_range=4.0, out_range=20.0, **options)
    sparse, dense = (Crossbar(weights, cfg, n_chips=4, generator=seeded()) for _ in range(2))
    levels = torch.where(torch.arange(30) < 5, 4.0, 1.0)
    got, wanted = sparse.spikes(spikes, levels), dense(spikes * levels)
    assert float(((got - wanted).abs() > 1e-4).float().mean()) < 0.01
    full = sparse.spikes(spikes)
    assert float((full - dense(spikes * 4.0)).abs().mean()) < 0.05  # levels given once are not kept
    with pytest.raises(ValueError, match="in_range"):
        Crossbar(weights, n_chips=1, generator=seeded()).spikes(spikes[:1], levels)


def test_inputs_may_be_driven_harder_than_neurons(seeded):
    w_in, w_rec = torch.randn(9, 5, generator=seeded(1)), torch.randn(9, 9, generator=seeded(2))
    cfg = CrossbarCfg(device="ideal", dac_bits=0, adc_bits=0, in_range=4.0)
    layer = CrossbarSpiking.program(w_in, w_rec, cfg, n_chips=3, generator=seeded(), input_level=4.0)
    x, z = _spikes(3, 5), _spikes(3, 9, seed=6)
    wanted = 4.0 * x @ w_in.T + z @ w_rec.T
    torch.testing.assert_close(layer.copies(1).step(x, z), wanted, rtol=1e-5, atol=1e-5)
    leaf = w_in.requires_grad_()
    got = layer.step_through(x, z, leaf, w_rec)
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(*(torch.autograd.grad(y.sum(), leaf)[0] for y in (got, 4.0 * x @ leaf.T)))


def test_its_noise_is_that_of_the_rows_that_spike(seeded):
    weights = torch.ones(6, 40)
    layer = CrossbarSpiking.program(
        weights[:, :10], weights[:, 10:], CrossbarCfg(adc_bits=0), n_chips=2, generator=seeded()
    )
    x, z = torch.zeros(2, 4000, 10), torch.zeros(2, 4000, 30)
    z[..., :7] = 1.0
    _, variance = layer.crossbar._array.pairs.moments()
    assert variance is not None
    wanted = (variance.sum((1, 2))[..., 10:17].sum(-1) / layer.crossbar._array.unit.square().view(2, 6)).sqrt()
    torch.testing.assert_close(layer.step(x, z).std(1), wanted, rtol=0.06, atol=0.0)


def test_more_rows_than_a_core_and_a_bias_go_the_dense_way(seeded):
    weights, spikes = torch.randn(4, 300, generator=seeded(1)), _spikes(2, 3, 300)
    xbar = Crossbar(weights, IDEAL, n_chips=2, generator=seeded(), bias=torch.ones(4))
    torch.testing.assert_close(xbar.spikes(spikes), spikes @ weights.T + 1.0, rtol=1e-4, atol=1e-4)


def test_gradients_are_those_of_the_float_weights(seeded):
    w_in, w_rec = torch.randn(9, 5, generator=seeded(1)), torch.randn(9, 9, generator=seeded(2))
    layer = CrossbarSpiking.program(w_in, w_rec, n_chips=3, generator=seeded())
    leaves = [each.requires_grad_() for each in (_spikes(3, 5), _spikes(3, 9, seed=6), w_in, w_rec)]
    outer = torch.randn(3, 9, generator=seeded(3))
    got = torch.autograd.grad((layer.step_through(*leaves) * outer).sum(), leaves)
    wanted = torch.autograd.grad(((leaves[0] @ w_in.T + leaves[1] @ w_rec.T) * outer).sum(), leaves)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_written_copied_and_resumed(seeded):
    w_in, w_rec = 0.3 * torch.randn(9, 5, generator=seeded(1)), 0.3 * torch.randn(9, 9, generator=seeded(2))
    cfg = CrossbarCfg(w_range=2.0)
    layer, resumed = (CrossbarSpiking.program(w_in, w_rec, cfg, n_chips=2, generator=seeded(s)) for s in (1, 2))
    twins = layer.copies(3)
    delta = torch.zeros(6, 9, 9)
    delta[4, 2, 3] = 0.5
    before = twins.weights()
    report = twins.write(torch.zeros(6, 9, 5), delta)
    assert report.devices.bool().tolist() == [False] * 4 + [True, False]
    after = twins.weights()
    assert torch.equal(after[0], before[0])
    assert (after[1] != before[1]).nonzero().tolist() == [[4, 2, 3]]
    resumed.load_state_dict(layer.state_dict())
    x, z = _spikes(2, 5), _spikes(2, 9, seed=6)
    assert torch.equal(layer.step(x, z), resumed.step(x, z))
    assert "5 inputs and 9 neurons" in repr(layer)
    with pytest.raises(ValueError, match="15"):
        CrossbarSpiking(layer.crossbar, 15)
