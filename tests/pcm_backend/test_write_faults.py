"""Broken devices on chips: what reads show, what writes report, and what the rest of a pair makes up for."""

import pytest
import torch

from pcm_backend import Crossbar, CrossbarCfg, FaultCfg

KINDS = ("stuck_set", "stuck_reset", "dead_row", "dead_column", "worn")


def _chip(seeded, weights, device="ideal", n_chips=4, faults=None, **options):
    cfg = CrossbarCfg(device=device, w_range=1.0, faults=FaultCfg(**(faults or {})), **options)
    return Crossbar(weights, cfg, n_chips=n_chips, generator=seeded())


def _told(report):
    return {kind: float(count.sum()) for kind, count in report.failed_by.items() if float(count.sum()) > 0}


def test_healthy_chips_keep_and_report_nothing(seeded):
    xbar = _chip(seeded, torch.ones(2, 3))
    report = xbar.write(torch.full((2, 3), -0.5))
    assert set(report.failed_by) == {"not_converged"}
    assert float(report.failed.sum()) == 0.0
    assert "health" not in xbar.state_dict()


@pytest.mark.parametrize("slices", [1, 2])
@pytest.mark.parametrize("device", ["ideal", "hermes_2"])
def test_dead_lines_conduct_nothing_and_are_reported(device, slices, seeded):
    """One dead row of 6, one dead line of 4 x slices: whole lines of both polarities, exactly zero for good."""
    faults = {"dead_rows": 1, "dead_columns": 1}
    xbar = _chip(seeded, torch.full((4, 6), 0.5), device, faults=faults, slices=slices)
    g_us = xbar.conductances_us()
    row, line = (g_us == 0).all(3).all(1).all(1), (g_us == 0).all(4).all(2)
    if device == "hermes_2":  # ideal devices that are off conduct nothing either
        assert row.sum(1).tolist() == [1] * 4
        assert line.flatten(1).sum(1).tolist() == [1] * 4
    xbar.advance(86400.0)
    report = xbar.write(torch.full((4, 6), 0.3))
    silent = row[:, None, None, None, :] | line[:, :, None, :, None]
    assert bool((xbar.conductances_us()[silent.expand_as(g_us)] == 0).all())
    told = _told(report)
    assert set(told) == {"dead_row", "dead_column"}
    if slices == 1:  # of each chip 3 cells of the row (the fourth is on the line), 6 of the line; two devices each
        assert told == {"dead_row": 4 * 4 * 2.0, "dead_column": 4 * 5 * 2.0}
    assert torch.equal(report.failed, torch.stack([*report.failed_by.values()]).sum(0))


def test_stuck_devices_by_hand(seeded):
    """All devices stuck at SET: both polarities conduct the whole range, every weight is 0 and nothing moves it."""
    xbar = _chip(seeded, torch.full((2, 3), 0.5), faults={"stuck_set": 1.0})
    assert xbar.conductances_us().unique().tolist() == pytest.approx([20.7])
    report = xbar.write(torch.full((2, 3), 0.25))
    assert xbar.weights().abs().max() == 0
    # each cell: the negative polarity should be off, and the positive lower: two devices of each are to blame
    assert _told(report) == {"stuck_set": 4 * 6 * 2.0}
    assert bool((report.pulses >= 6 * 30.0).all())


def test_one_stuck_device_of_two_halves_the_range(seeded):
    """Of two devices one is silent: half of the range is left, and a target beyond it is missed."""
    xbar = _chip(seeded, torch.full((1, 400), 0.8), faults={"stuck_reset": 0.3})
    weights = xbar.weights()
    for value, share in ((0.8, 0.7 * 0.7), (0.5, 2 * 0.7 * 0.3), (0.0, 0.3 * 0.3)):
        near = (weights - value).abs() < 1e-5
        assert float(near.float().mean()) == pytest.approx(share, abs=4 * (share * (1 - share) / 1600) ** 0.5)


@pytest.mark.parametrize("rows", [1, 3])
def test_the_other_polarity_makes_up_for_a_stuck_one(rows, seeded):
    """A polarity stuck at the whole range R leaves weights of its sign: R - g of the other reaches 0 to R.

    Weights of the other sign would need more than R on the other side: they come as near as 0.
    """
    faults = {"stuck_set": 0.2, "sticks": "conductance"}
    goal = torch.rand(8, 50, generator=seeded(1)) * 1.6 - 0.8
    xbar = _chip(seeded, goal, faults=faults, rows_per_weight=rows)
    high = xbar.conductances_us()[:, 0] > 20.6
    plus, minus = (high[:, side].unflatten(-1, (rows, -1)).sum(2) for side in (0, 1))
    able = ((plus == 0) | (goal > 0)) & ((minus == 0) | (goal < 0))
    healthy = (plus == 0) & (minus == 0)
    assert 0 < int(healthy.sum()) < int(able.sum()) < able.numel()
    error = (xbar.weights() - goal).abs()
    assert float(error[able].max()) < 1e-5
    assert float(error[~able].mean()) > 0.1
    delta = torch.full_like(goal, 0.1) * goal.sign()
    before = xbar.weights()
    report = xbar.write(delta)
    torch.testing.assert_close((xbar.weights() - before)[able], delta.expand(4, -1, -1)[able], rtol=0, atol=1e-5)
    assert set(_told(report)) == {"stuck_set"}


def test_the_second_slice_makes_up_for_the_first(seeded):
    """A silent device leaves the first slice short by up to half of its range; the second has an eighth to give."""
    goal = torch.full((4, 200), 0.55)
    errors = []
    for slices in (1, 2):
        xbar = _chip(seeded, goal, faults={"stuck_reset": 0.1}, slices=slices)
        errors.append(float((xbar.weights() - goal).abs().mean()))
    assert errors[1] < 0.5 * errors[0]


def test_a_verify_that_gives_up_spends_its_pulses(seeded):
    """Thirty pulses instead of the mean on each conductance that never gets there."""
    goal, healthy = torch.full((4, 50), 0.8), _chip(seeded, torch.full((4, 50), 0.8))
    broken = _chip(seeded, goal, faults={"stuck_reset": 1.0, "sticks": "conductance"})
    delta = torch.full((4, 50), 0.1)
    reports = [xbar.write(delta) for xbar in (healthy, broken)]
    assert reports[1].failed.tolist() == [4 * 50 * 2.0] * 4
    assert reports[1].pulses.tolist() == [4 * 50 * 30.0] * 4
    assert bool((reports[1].pulses > reports[0].pulses).all())
    assert bool((reports[1].energy_j > reports[0].energy_j).all())


def test_devices_wear_out(seeded):
    """With an endurance of about six writes (nine pulses a device) none is gone after one, all after two dozen."""
    xbar = _chip(seeded, torch.full((8, 50), 0.5), "hermes_2", faults={"endurance": 60.0, "endurance_spread": 0.3})
    gone = []
    for _ in range(24):
        report = xbar.write(torch.full((8, 50), 0.05))
        gone.append(float(report.failed_by["worn"].mean()))
    assert gone[0] == 0.0
    assert gone[-1] > 0.98 * 8 * 50 * 2  # of every cell the devices that should carry are missed
    assert float(xbar.weights().abs().mean()) < 0.02  # what is worn conducts nothing


@pytest.mark.parametrize("read_noise", ["each", "frozen", "off"])
def test_faults_are_saved_copied_and_the_same_for_the_same_seed(read_noise, seeded):
    faults = {"stuck_set": 0.05, "stuck_reset": 0.05, "dead_rows": 1, "endurance": 40.0}
    weights = torch.randn(6, 10, generator=seeded(1)) * 0.2
    delta = torch.randn(6, 10, generator=seeded(2)) * 0.2
    xbar, same = (_chip(seeded, weights, "hermes_2", faults=faults, read_noise=read_noise) for _ in range(2))
    assert torch.equal(xbar.conductances_us(), same.conductances_us())
    more = _chip(seeded, weights, "hermes_2", 9, faults=faults, read_noise=read_noise)
    assert torch.equal(more.conductances_us()[:4], xbar.conductances_us())
    xbar.write(delta)
    xbar.advance(86400.0)
    twin = _chip(lambda seed=0: seeded(seed + 9), weights, "hermes_2", faults=faults, read_noise=read_noise)
    twin.load_state_dict(xbar.state_dict())
    told = [_told(each.write(delta)) for each in (xbar, twin)]
    assert told[0] == told[1]
    assert torch.equal(xbar.weights(), twin.weights())
    copies = xbar.copies(3)
    assert torch.equal(copies.weights(), xbar.weights().repeat_interleave(3, 0))
    dead = (xbar.conductances_us() == 0).flatten(1, 3).all(1).repeat_interleave(3, 0)  # (chips, rows)
    assert dead.sum(1).tolist() == [1] * 12
    copies.write(delta)
    assert torch.equal((copies.conductances_us() == 0).flatten(1, 3).all(1), dead)


def test_states_of_other_faults_are_refused(seeded):
    weights = torch.ones(2, 3)
    healthy, broken, mortal = (
        _chip(seeded, weights, faults=faults) for faults in ({}, {"stuck_set": 0.1}, {"endurance": 9.0})
    )
    for mine, theirs in ((healthy, broken), (broken, healthy), (broken, mortal)):
        with pytest.raises(ValueError, match=r"faults|health"):
            mine.load_state_dict(theirs.state_dict())


@pytest.mark.parametrize(("faults", "word"), [({"dead_rows": 4}, "dead_rows"), ({"dead_columns": 3}, "dead_columns")])
def test_more_dead_lines_than_there_are(faults, word, seeded):
    with pytest.raises(ValueError, match=word):
        _chip(seeded, torch.ones(2, 3), faults=faults)
