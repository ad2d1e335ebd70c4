"""What a write does to weights, devices and ages, and how long its lessons last."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm_backend import DEVICES, Crossbar, CrossbarCfg, FittedDevice
from pcm_backend.pulse_counts import table_for

DAY_S, YEAR_S = 86400.0, 365 * 86400.0


def _correlation(a, b):
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def _slope(delta, change):
    return float((delta * change).sum() / delta.square().sum())


@settings(max_examples=25, deadline=None)
@given(
    device=st.sampled_from(sorted(DEVICES)),
    slices=st.sampled_from([1, 2]),
    read_noise=st.sampled_from(["each", "frozen", "off"]),
    seed=st.integers(0, 10**6),
)
def test_untouched_cells_do_not_move_and_touched_ones_are_young(device, slices, read_noise, seed):
    g = torch.Generator().manual_seed(seed)
    cfg = CrossbarCfg(device=device, slices=slices, read_noise=read_noise)
    xbar = Crossbar(torch.randn(4, 6, generator=g), cfg, n_chips=3, generator=g)
    xbar.advance(DAY_S, calibrate=False)
    delta = torch.randn(3, 4, 6, generator=g) * (torch.rand(3, 4, 6, generator=g) < 0.4)
    before, kept = xbar.weights(), xbar._array.pairs.state.device.g_us.clone()
    report = xbar.write(delta)
    quiet = delta == 0
    assert torch.equal(xbar.weights()[quiet], before[quiet])
    pulsed = xbar.ages_s() < DAY_S
    assert torch.equal(xbar._array.pairs.state.device.g_us[~pulsed], kept[~pulsed])
    hit, counted = pulsed.any(2).any(1), pulsed.flatten(1).sum(1).double() * DEVICES[device].n_physical
    if isinstance(DEVICES[device], FittedDevice):
        assert torch.equal(hit, ~quiet)
        assert torch.equal(report.devices, counted)
    else:  # where pulses are simulated, what reads near enough receives none, and of two devices one may do
        assert not bool((hit & quiet).any())
        assert bool((report.devices <= counted).all())
        assert bool((report.devices * DEVICES[device].n_physical >= counted).all())
    xbar.advance(10.0)
    ages = torch.where(pulsed, 10.0 + report.time_s[:, None, None, None, None], DAY_S + 10.0 + report.time_s.max())
    torch.testing.assert_close(xbar.ages_s(), ages, rtol=1e-8, atol=1e-2)


@pytest.mark.parametrize("device", sorted(DEVICES))
def test_zero_increment_writes_nothing_and_costs_nothing(device, seeded):
    xbar = Crossbar(torch.ones(2, 3), CrossbarCfg(device=device, slices=2), n_chips=2, generator=seeded())
    before, bill = xbar.weights(), xbar.ledger.snapshot()
    report = xbar.write(torch.zeros(2, 3))
    assert torch.equal(xbar.weights(), before)
    spent = xbar.ledger - bill
    told = [each for each in vars(report).values() if isinstance(each, torch.Tensor)]
    assert not any(float(each.sum()) for each in (*spent.counts.values(), *told))


@settings(max_examples=40, deadline=None)
@given(slices=st.sampled_from([1, 2]), chips=st.integers(1, 9), seed=st.integers(0, 10**6))
def test_ideal_lands_exactly_and_stops_at_its_range(slices, chips, seed):
    g = torch.Generator().manual_seed(seed)
    w = torch.rand(chips, 3, 5, generator=g) * 2 - 1
    delta = torch.randn(chips, 3, 5, generator=g)
    cfg = CrossbarCfg(device="ideal", slices=slices, w_range=(1.0, 1.5, 1.25))
    xbar = Crossbar(w, cfg, n_chips=chips, generator=g)
    report = xbar.write(delta)
    limit = torch.tensor([1.0, 1.5, 1.25])[:, None]
    goal = w + delta
    torch.testing.assert_close(xbar.weights(), torch.minimum(torch.maximum(goal, -limit), limit), rtol=1e-5, atol=1e-5)
    assert torch.equal(report.saturated, (goal.abs() > limit).flatten(1).sum(1).double())


@pytest.mark.parametrize(
    ("slices", "delta", "conductances", "places"),
    [
        (1, 0.2, 1, [23]),  # the positive device alone, aimed at .7, in the 23rd of 32 bins
        (1, -0.9, 2, [0, 13]),  # the sign changes: one device is switched off, the other takes over with .4
        (2, 0.1, 1, [26]),  # fits the second slice's eighth of the range, .8 of it
        (2, 0.4, 2, None),  # the first slice moves, the second takes what is left
        (2, -0.9, 3, None),  # both of the first, one of the second
    ],
)
def test_devices_counted_by_hand(slices, delta, conductances, places, seeded):
    cfg = CrossbarCfg(device="ideal", slices=slices, w_range=1.0)
    xbar = Crossbar(torch.full((1, 1), 0.5), cfg, n_chips=2, generator=seeded())
    report = xbar.write(torch.full((1, 1), delta))
    assert report.devices.tolist() == [2.0 * conductances] * 2  # two physical devices in each
    if places is not None:
        table = table_for(2)
        assert report.pulses.tolist() == pytest.approx(
            [sum(table.set_pulses[i] + table.reset_pulses[i] for i in places)] * 2
        )
    assert xbar.weights().flatten().tolist() == pytest.approx([0.5 + delta] * 2)


def test_time_of_a_write_passes_at_the_next_read(seeded):
    xbar = Crossbar(torch.ones(2, 3), n_chips=2, generator=seeded())
    time_s = xbar.write(torch.tensor([[0.1, 0.0, 0.0], [0.0, 0.0, 0.0]])).time_s
    assert time_s.tolist() == pytest.approx([table_for(2).longest[0] * (100e-9 + 521e-9) + 8 * 521e-9] * 2)
    assert xbar.clock_s.tolist() == [0.0, 0.0]
    xbar(torch.ones(2, 1, 3))
    assert torch.equal(xbar.clock_s, time_s)


@pytest.mark.parametrize(
    ("delta", "word"),
    [(torch.ones(3, 2), "shape"), (torch.ones(5, 2, 3), "shape"), (torch.full((2, 3), float("nan")), "NaN")],
)
def test_wrong_increments_are_named(delta, word, seeded):
    with pytest.raises(ValueError, match=word):
        Crossbar(torch.ones(2, 3), n_chips=2, generator=seeded()).write(delta)


def test_two_slices_store_more_precisely_than_one(seeded):
    w = torch.randn(64, 64, generator=seeded(1))
    delta = torch.randn(64, 64, generator=seeded(2)) * 0.3
    goal = w + delta
    inside = goal.abs() < w.abs().amax(1, keepdim=True)
    programmed, written = [], []
    for slices in (1, 2):
        xbar = Crossbar(w, CrossbarCfg(slices=slices), n_chips=8, generator=seeded())
        programmed.append(float((xbar.weights() - w).std()))
        kept = xbar.weights()
        xbar.write(delta)
        written.append(float((xbar.weights() - kept - delta)[:, inside].std()))
    assert programmed == pytest.approx([0.106, 0.028], abs=0.005)  # of a weight's deviation
    assert written[0] == pytest.approx(0.106, abs=0.03)
    assert written[1] < 0.5 * written[0]


@pytest.mark.parametrize("slices", [1, 2])
def test_a_write_after_a_day_honours_the_compensation_factor(slices, seeded):
    w = torch.randn(32, 48, generator=seeded(1)) * 0.2
    xbar = Crossbar(w, CrossbarCfg(slices=slices, w_range=1.5), n_chips=8, generator=seeded())
    xbar.advance(DAY_S)
    assert float(xbar.factors[:, 0].mean()) > 1.2  # a lesson that forgot it would be that much too large
    before, factors = xbar.weights(), xbar.factors
    delta = torch.randn(8, 32, 48, generator=seeded(2)) * 0.2
    xbar.write(delta)
    change = xbar.weights() - before
    assert _slope(delta, change) == pytest.approx(1.0, abs=0.02)
    assert abs(float((change - delta).mean())) < 0.003
    assert torch.equal(xbar.factors, factors)
    xbar.recalibrate()  # the reference moved with the write, so the factor stays but for read noise
    assert float((xbar.factors / factors - 1).abs().max()) < 0.06
    assert abs(float((xbar.factors / factors - 1).mean())) < 0.003


@pytest.mark.parametrize(
    ("sd", "at_once", "after", "tolerance"),
    [(0.25, 0.985, 0.961, 0.015), (0.1, 0.963, 0.84, 0.03), (0.02, 0.60, 0.27, 0.06)],
)
def test_how_much_of_a_lesson_survives_a_month(sd, at_once, after, tolerance, seeded):
    """Weights of deviation .2, a fifth of the cells written after a day, read 30 days later, factors measured again."""
    w = torch.randn(64, 64, generator=seeded(1)) * 0.2
    xbar = Crossbar(w, n_chips=8, generator=seeded())
    xbar.advance(DAY_S)
    chosen = torch.rand(8, 64, 64, generator=seeded(2)) < 0.2
    delta = torch.randn(8, 64, 64, generator=seeded(3)) * sd * chosen
    before = xbar.weights()
    xbar.write(delta)
    assert _correlation(delta[chosen], (xbar.weights() - before)[chosen]) == pytest.approx(at_once, abs=tolerance)
    xbar.advance(30 * DAY_S)
    assert _correlation(delta[chosen], (xbar.weights() - before)[chosen]) == pytest.approx(after, abs=tolerance)


def test_compensation_over_a_year(seeded):
    w = torch.randn(64, 64, generator=seeded(1))
    xbar = Crossbar(w, n_chips=8, generator=seeded())
    with_, without = xbar.copies(1), xbar.copies(1)
    with_.advance(YEAR_S)
    without.advance(YEAR_S, calibrate=False)
    wanted = w.expand(8, 64, 64)
    assert torch.equal(without.factors, torch.ones(8, 1, 64))
    assert _slope(wanted, without.weights()) == pytest.approx(0.59, abs=0.02)  # two fifths of every weight are gone
    assert _slope(wanted, with_.weights()) == pytest.approx(1.0, abs=0.04)  # the mean |y| would give 1.085
    errors = [float((each.weights() - w).square().mean().sqrt()) for each in (with_, without)]
    assert errors == pytest.approx([0.23, 0.43], abs=0.02)  # of a weight's deviation


def test_a_line_of_silent_devices_keeps_its_factor(seeded):
    xbar = Crossbar(torch.zeros(2, 3), CrossbarCfg(device="ideal", w_range=1.0), n_chips=2, generator=seeded())
    xbar.advance(DAY_S)
    assert torch.equal(xbar.factors, torch.ones(2, 1, 2))
