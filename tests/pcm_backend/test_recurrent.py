"""Recurrent layers on the chip against torch's."""

import pytest
import torch
from torch import nn

from pcm_backend import CrossbarCfg, deploy

IDEAL = CrossbarCfg(device="ideal", dac_bits=0, adc_bits=0)
SHAPES = [
    {},
    {"num_layers": 2, "batch_first": True},
    {"num_layers": 2, "bidirectional": True, "bias": False},
    {"batch_first": True, "bidirectional": True},
]


def _states(kind, *shape, generator):
    states = tuple(0.3 * torch.randn(shape, generator=generator) for _ in range(2))
    return states[0] if kind is nn.GRU else states


def _of(states, index):
    return tuple(each[index] for each in states) if isinstance(states, tuple) else states[index]


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize("options", SHAPES, ids=lambda each: " ".join(map(str, each.items())) or "plain")
@pytest.mark.parametrize("calibrated", [False, True])
def test_ideal_is_torchs_layer(kind, options, calibrated, seeded):
    torch.manual_seed(0)
    layer, n_cells = kind(5, 7, **options), options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    x = torch.randn(3, 4, 6, 5, generator=seeded())
    batch = 4 if options.get("batch_first") else 6
    states = _states(kind, 3, n_cells, batch, 7, generator=seeded(1))
    calibration = (x[0], _of(states, 0)) if calibrated else None
    chip = deploy(layer, IDEAL, n_chips=3, generator=seeded(), calibration=calibration)
    for given in (True, False):
        got, end = chip(x, states) if given else chip(x)
        for k in range(3):
            wanted, wanted_end = layer(x[k], _of(states, k)) if given else layer(x[k])
            torch.testing.assert_close(got[k], wanted, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(_of(end, k), wanted_end, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
def test_one_sequence_without_a_batch(kind, seeded):
    torch.manual_seed(0)
    layer = kind(5, 7, num_layers=2)
    chip = deploy(layer, IDEAL, n_chips=2, generator=seeded())
    x, states = torch.randn(2, 4, 5, generator=seeded()), _states(kind, 2, 2, 7, generator=seeded(1))
    got, end = chip(x, states)
    for k in range(2):
        wanted, wanted_end = layer(x[k], _of(states, k))
        torch.testing.assert_close(got[k], wanted, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(_of(end, k), wanted_end, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
def test_gradients_reach_inputs_and_float_twin(kind, seeded):
    torch.manual_seed(0)
    layer = kind(5, 7)
    on_chip = deploy(layer, IDEAL, n_chips=2, generator=seeded()).layers[kind.__name__.lower()].through(layer)
    x = torch.randn(2, 4, 6, 5, generator=seeded()).requires_grad_()
    leaves = [x, *layer.parameters()]
    got = torch.autograd.grad(on_chip(x)[0].square().sum(), leaves)
    wanted = torch.autograd.grad(torch.stack([layer(each)[0] for each in x]).square().sum(), leaves)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_an_lstm_reads_one_crossbar_a_step_and_a_gru_two(seeded):
    x = torch.randn(1, 4, 6, 5, generator=seeded())  # four steps of six sequences
    for kind, products, shapes in ((nn.LSTM, 24, {"lstm.l0": (28, 12)}), (nn.GRU, 48, {"gru.ih_l0": (21, 5)})):
        chip = deploy(kind(5, 7), n_chips=1, generator=seeded())
        chip(x)
        assert float(chip.ledger.products) == products
        for name, shape in shapes.items():
            assert tuple(chip.crossbars[name].weights().shape[1:]) == shape


def test_hermes_stays_near_torchs_layer_for_many_steps(seeded):
    torch.manual_seed(0)
    layer = nn.LSTM(5, 32)
    x = torch.randn(4, 60, 8, 5, generator=seeded())
    chip = deploy(layer, n_chips=4, generator=seeded(), calibration=x[0])
    wanted = torch.stack([layer(each)[0] for each in x]).detach()
    assert 0.01 < float((chip(x)[0] - wanted).std() / wanted.std()) < 0.2


def test_copies_and_a_saved_state(seeded):
    layer, x = nn.GRU(5, 7), torch.randn(2, 4, 3, 5, generator=seeded())
    chip, resumed = (deploy(layer, n_chips=2, generator=seeded(s)) for s in (1, 2))
    resumed.load_state_dict(chip.state_dict())
    assert torch.equal(chip(x)[0], resumed(x)[0])
    assert set(chip.state_dict()) == {"gru.ih_l0", "gru.hh_l0"}
    twins = chip.copies(3)
    assert torch.equal(
        twins.crossbars["gru.hh_l0"].weights(), chip.crossbars["gru.hh_l0"].weights().repeat_interleave(3, 0)
    )
    assert twins(x.repeat_interleave(3, 0))[0].shape == (6, 4, 3, 7)


def test_what_does_not_fit_is_named(seeded):
    chip = deploy(nn.LSTM(5, 7), n_chips=2, generator=seeded())
    with pytest.raises(ValueError, match="PackedSequence"):
        chip.module(nn.utils.rnn.pack_sequence([torch.zeros(2, 5)]))
    with pytest.raises(ValueError, match=r"2 of shape \(2, 1, 3, 7\), got \[\(1, 3, 7\)"):
        chip(torch.zeros(2, 4, 3, 5), (torch.zeros(1, 3, 7), torch.zeros(1, 3, 7)))
    with pytest.raises(ValueError, match="proj_size"):
        deploy(nn.LSTM(5, 7, proj_size=2), n_chips=1, generator=seeded())
    with pytest.raises(ValueError, match="hh_l0"):
        _ = deploy(nn.GRU(5, 7), n_chips=1, generator=seeded()).layers["gru"].crossbar
