"""Reads, ages, copies and saved states of crossbars."""

import copy
import io
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm_backend import DEVICES, Crossbar, CrossbarCfg, DeviceState

DAY_S, YEAR_S = 86400.0, 365 * 86400.0
BARE: dict[str, Any] = {"dac_bits": 0, "adc_bits": 0}


def _matrix(seeded, *shape, scale=0.2):
    return torch.randn(*shape, generator=seeded(99)) * scale


@settings(max_examples=40, deadline=None)
@given(
    n_out=st.integers(1, 9),
    n_in=st.integers(1, 9),
    chips=st.integers(1, 11),
    batch=st.integers(1, 5),
    slices=st.sampled_from([1, 2]),
    scale=st.sampled_from(["column", "matrix", "core"]),
    in_range=st.sampled_from([None, 2.5]),
    with_bias=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_ideal_without_converters_is_the_float_product(
    n_out, n_in, chips, batch, slices, scale, in_range, with_bias, seed
):
    g = torch.Generator().manual_seed(seed)
    w, b = torch.randn(n_out, n_in, generator=g), torch.randn(n_out, generator=g)
    x = torch.rand(chips, batch, n_in, generator=g) * 2 - 1
    cfg = CrossbarCfg(device="ideal", slices=slices, scale=scale, in_range=in_range, **BARE)
    xbar = Crossbar(w, cfg, n_chips=chips, generator=g, bias=b if with_bias else None)
    xbar.advance(YEAR_S)
    expected = x @ w.T + (b if with_bias else 0)
    torch.testing.assert_close(xbar(x), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(xbar.weights(), w.expand(chips, n_out, n_in), rtol=1e-5, atol=1e-5)
    if with_bias:
        torch.testing.assert_close(xbar.bias(), b.expand(chips, n_out), rtol=1e-5, atol=1e-5)


def test_converters_err_by_half_a_step_at_most(seeded):
    w, x = _matrix(seeded, 4, 8), torch.rand(2, 50, 8, generator=seeded()) * 2 - 1
    cfg = CrossbarCfg(device="ideal", in_range=1.0, out_range=2.0, dac_bits=6, adc_bits=7)
    y = Crossbar(w, cfg, n_chips=2, generator=seeded())(x)
    bound = w.abs().sum(1) * 0.5 / 31 + 0.5 * 2.0 / 63  # 2^5 - 1 and 2^6 - 1 steps
    assert ((y - x @ w.T).abs() <= bound + 1e-5).all()
    steps = y / (2.0 / 63)
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-3)


def test_outputs_clip_at_the_range_of_their_line(seeded):
    cfg = CrossbarCfg(device="ideal", in_range=1.0, out_range=(0.5, 3.0))
    y = Crossbar(torch.ones(2, 2), cfg, n_chips=1, generator=seeded())(torch.ones(1, 1, 2))
    assert y[0, 0].tolist() == pytest.approx([0.5, 2.0], abs=0.02)


def test_noise_at_the_output_is_that_of_every_device_read_apart(seeded):
    w, x = _matrix(seeded, 3, 6), torch.tensor([1.0, -0.5, 0.3, 2.0, 0.0, -1.0])
    xbar = Crossbar(w, CrossbarCfg(**BARE), n_chips=1, generator=seeded())
    got = xbar(x.expand(1, 40_000, 6))[0]
    device, state = DEVICES["hermes_2"], xbar._array.pairs.state.device
    many = [each[0, 0].expand(40_000, 2, 3, 6) for each in (state.g_us, state.nu)]
    reads = device.read(DeviceState(*many), 0.0, seeded(5))
    oracle = ((reads[:, 0] - reads[:, 1]) * w.abs().amax(1, keepdim=True) / device.g_max_us) @ x
    torch.testing.assert_close(got.std(0), oracle.std(0), rtol=0.025, atol=0)
    assert ((got.mean(0) - oracle.mean(0)).abs() < 4.5 * oracle.std(0) * (2 / 40_000) ** 0.5).all()


@pytest.mark.parametrize("read_noise", ["each", "frozen", "off"])
def test_when_read_noise_is_drawn(read_noise, seeded):
    cfg = CrossbarCfg(read_noise=read_noise, **BARE)
    xbar = Crossbar(_matrix(seeded, 4, 8), cfg, n_chips=2, generator=seeded())
    x = torch.ones(2, 1, 8)
    first, second = xbar(x), xbar(x)
    xbar.advance(1e-3, calibrate=False)
    third = xbar(x)
    assert torch.equal(first, second) == (read_noise != "each")
    assert torch.allclose(first, third, rtol=1e-4, atol=1e-6) == (read_noise == "off")


def test_reads_leave_the_state_alone(seeded):
    xbar = Crossbar(_matrix(seeded, 4, 8), n_chips=3, generator=seeded())
    before = xbar.weights()
    for _ in range(3):
        xbar(torch.ones(3, 2, 8))
    assert torch.equal(before, xbar.weights())


@pytest.mark.parametrize("slices", [1, 2])
def test_four_chips_are_the_first_four_of_eight(slices, seeded):
    w, delta = _matrix(seeded, 5, 7), _matrix(seeded, 11, 5, 7, scale=0.1)
    few, many = (Crossbar(w, CrossbarCfg(slices=slices), n_chips=k, generator=seeded()) for k in (4, 11))
    for xbar, k in ((few, 4), (many, 11)):
        xbar.advance(DAY_S)
        xbar.write(delta[:k])
    torch.testing.assert_close(few.weights(), many.weights()[:4], rtol=1e-6, atol=1e-7)
    copies = few.copies(3), many.copies(3)
    for xbar in copies:
        xbar.write(delta[0])
    torch.testing.assert_close(copies[0].weights(), copies[1].weights()[:12], rtol=1e-6, atol=1e-7)
    x = torch.ones(11 * 3, 1, 7)
    torch.testing.assert_close(copies[0](x[:12]), copies[1](x)[:12], rtol=0.02, atol=0.02)  # a step of the converter


def test_same_generator_same_chip_and_another_seed_another(seeded):
    w = _matrix(seeded, 5, 7)
    one, same, other = (Crossbar(w, n_chips=2, generator=seeded(s)).weights() for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert not torch.equal(one[0], one[1])


def test_copies_start_equal_and_go_their_own_ways(seeded):
    xbar = Crossbar(_matrix(seeded, 6, 40), CrossbarCfg(slices=2, headroom=1.5), n_chips=3, generator=seeded())
    xbar.advance(DAY_S)
    twins = xbar.copies(4)
    assert torch.equal(twins.weights(), xbar.weights().repeat_interleave(4, 0))
    assert torch.equal(twins.ages_s(), xbar.ages_s().repeat_interleave(4, 0))
    assert float(twins.ledger.energy_j().sum()) == 0.0
    kept = xbar.weights()
    twins.write(torch.full((6, 40), 0.05))
    change = (twins.weights() - kept.repeat_interleave(4, 0) - 0.05).flatten(1)
    together = torch.corrcoef(change) - torch.eye(12)
    assert float(together.abs().max()) < 0.35  # 240 numbers: 4.5 deviations of 1 / sqrt(240) are .29
    assert torch.equal(kept, xbar.weights())


@pytest.mark.parametrize("read_noise", ["each", "frozen", "off"])
@pytest.mark.parametrize("slices", [1, 2])
def test_a_saved_state_goes_on_to_the_bit(read_noise, slices, seeded):
    cfg = CrossbarCfg(read_noise=read_noise, slices=slices)
    w, delta, x = _matrix(seeded, 4, 9), _matrix(seeded, 6, 4, 9), torch.ones(6, 2, 9)

    def start(seed):
        return Crossbar(w, cfg, n_chips=3, generator=seeded(seed), bias=w[:, 0]).copies(2)

    def go_on(xbar):
        seen = [xbar(x), torch.cat([xbar.write(delta).energy_j, xbar.clock_s]), xbar(x)]
        xbar.advance(2.0)
        return [*seen, xbar(x), xbar.weights(), xbar.clock_s, xbar.ledger.energy_j()]

    xbar = start(1)
    xbar.advance(YEAR_S)
    xbar.write(delta)  # its time is still pending in the saved state
    file = io.BytesIO()
    torch.save(xbar.state_dict(), file)
    expected = go_on(xbar)
    file.seek(0)
    resumed = start(2)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert all(torch.equal(a, b) for a, b in zip(expected, go_on(resumed), strict=True))


def test_a_state_of_another_shape_or_device_is_refused(seeded):
    def make(shape=(4, 9), k=2, **cfg):
        return Crossbar(_matrix(seeded, *shape), CrossbarCfg(**cfg), n_chips=k, generator=seeded())

    state = make().state_dict()
    for other, word in ((make((4, 8)), "4, 8"), (make(device="ideal"), "ideal"), (make(slices=2), "shape")):
        with pytest.raises(ValueError, match=word):
            other.load_state_dict(state)
    with pytest.raises(ValueError, match="version 1"):
        make().load_state_dict({**state, "version": 1})


def test_clock_counts_seconds_after_a_year(seeded):
    xbar = Crossbar(_matrix(seeded, 2, 3), n_chips=2, generator=seeded())
    xbar.advance(YEAR_S)
    xbar.advance(0.02)
    assert (xbar.clock_s - YEAR_S).tolist() == pytest.approx([0.02, 0.02], abs=1e-7)
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="seconds"):
            xbar.advance(bad)


def test_gradients_reach_the_input_straight_through(seeded):
    w = _matrix(seeded, 3, 5)
    cfg = CrossbarCfg(device="ideal", in_range=1.0, out_range=5.0)
    xbar = Crossbar(w, cfg, n_chips=2, generator=seeded())
    x = (torch.rand(2, 4, 5, generator=seeded()) * 3 - 1.5).requires_grad_()
    xbar(x).sum().backward()
    expected = w.sum(0) * (x.detach().abs() <= 1.0)  # nothing passes where the converter clips
    torch.testing.assert_close(x.grad, expected, rtol=1e-5, atol=1e-6)
    assert not xbar(x.detach()).requires_grad


def test_one_scale_per_column_core_or_matrix(seeded):
    w = torch.cat([torch.full((256, 2), 0.5), torch.full((3, 2), 2.0), torch.full((1, 2), 0.1)])

    def full(scale):
        xbar = Crossbar(w, CrossbarCfg(device="ideal", scale=scale), n_chips=1, generator=seeded())
        return (xbar.conductances_us()[0, 0, 0, [0, 256, 259], 0] / 20.7).tolist()

    assert full("column") == pytest.approx([1.0, 1.0, 1.0])
    assert full("core") == pytest.approx([1.0, 1.0, 0.05])  # a core holds 256 lines
    assert full("matrix") == pytest.approx([0.25, 1.0, 0.05])


@pytest.mark.parametrize(
    ("weights", "kwargs", "word"),
    [
        (torch.zeros(2, 3), {}, r"\[0, 1\] hold only zeros"),
        (torch.full((2, 3), float("nan")), {}, "NaN"),
        (torch.ones(3), {}, r"\(3,\)"),
        (torch.ones(4, 2, 3), {}, r"\(4, 2, 3\)"),
        (torch.ones(2, 3), {"bias": torch.ones(3)}, "bias"),
        (torch.ones(2, 3), {"cfg": CrossbarCfg(w_range=(1.0, 1.0, 1.0))}, "3 values for 2"),
    ],
)
def test_wrong_matrices_are_named(weights, kwargs, word, seeded):
    with pytest.raises(ValueError, match=word):
        Crossbar(weights, n_chips=2, generator=seeded(), **kwargs)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_numbers_that_are_no_floats_are_named(dtype, seeded):
    xbar = Crossbar(torch.ones(2, 3), n_chips=1, generator=seeded())
    for word, act in (
        ("x", lambda: xbar(torch.ones(1, 1, 3, dtype=dtype))),
        ("delta", lambda: xbar.write(torch.ones(2, 3, dtype=dtype))),
        ("weights", lambda: Crossbar(torch.ones(2, 3, dtype=dtype), n_chips=1, generator=seeded())),
        ("bias", lambda: Crossbar(torch.ones(2, 3), n_chips=1, generator=seeded(), bias=torch.ones(2, dtype=dtype))),
    ):
        with pytest.raises(ValueError, match=f"{word} must hold floating-point numbers, got {dtype}"):
            act()


@pytest.mark.parametrize("shape", [(3, 4, 3), (2, 4, 5), (4, 3)])
def test_wrong_inputs_are_named(shape, seeded):
    with pytest.raises(ValueError, match="x must have shape"):
        Crossbar(torch.ones(2, 3), n_chips=2, generator=seeded())(torch.ones(shape))


@pytest.mark.parametrize(
    "change",
    [
        {"device": "flash"},
        {"scale": "row"},
        {"read_noise": "sometimes"},
        {"dac_bits": 1},
        {"adc_bits": 40},
        {"headroom": 0.5},
        {"w_range": (1.0, 0.0)},
        {"in_range": float("inf")},
        {"out_range": ()},
        {"slices": 3},
        {"verify_reads": 0},
        {"phases": 2},
        {"pulse_s": 0.0},
    ],
)
def test_wrong_configurations_name_field_and_value(change):
    (name,) = change
    with pytest.raises(ValueError, match=name):
        CrossbarCfg(**change)


def test_a_crossbar_lives_on_across_inference_mode_and_copies_of_it(seeded):
    def live(xbar):
        x = torch.ones(2, 3, 5)
        seen = [xbar(x), xbar.write(torch.full((4, 5), 0.1)).energy_j]
        xbar.advance(60.0)
        return [*seen, xbar(x), xbar.copies(2).weights()]

    with torch.inference_mode():
        xbar = Crossbar(_matrix(seeded, 4, 5), n_chips=2, generator=seeded())
        xbar.advance(DAY_S)
        live(xbar)
    twin = copy.deepcopy(xbar)
    assert all(torch.equal(a, b) for a, b in zip(live(xbar), live(twin), strict=True))
    x = torch.ones(2, 3, 5, requires_grad=True)
    xbar(x).sum().backward()
    assert x.grad is not None
