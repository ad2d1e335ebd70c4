"""Crossbars whose devices are simulated by the pulse, and what fitted devices book for theirs."""

import pytest
import torch

from pcm_backend import Crossbar, CrossbarCfg, UpdateCfg
from pcm_backend.pulse_counts import BINS, expected, expected_steps, slot_counts, table_for
from pcm_backend.pulse_device import HERMES_PAIR, HERMES_SINGLE
from pcm_backend.pulse_statistics import histogram, measure

SIMULATED = ["hermes_1_pulses", "hermes_2_pulses"]


def _xbar(device, seeded, n_chips=4, shape=(12, 10), **options):
    w = torch.randn(shape, generator=seeded(3))
    return Crossbar(w, CrossbarCfg(device=device, **options), n_chips=n_chips, generator=seeded(4))


@pytest.mark.parametrize("device", SIMULATED)
@pytest.mark.parametrize("read_noise", ["each", "frozen"])
def test_four_chips_are_the_first_four_of_eight(device, read_noise, seeded):
    few, many = (_xbar(device, seeded, n_chips=n, read_noise=read_noise) for n in (4, 8))
    delta = 0.2 * torch.randn(8, 12, 10, generator=seeded(5))
    for xbar in (few, many):
        xbar.advance(1000.0)
        xbar.write(delta[: xbar.n_chips])
        xbar.write(delta[: xbar.n_chips] * (delta[: xbar.n_chips] > 0.1))  # only as often as the slowest needs
    assert torch.equal(few.weights(), many.weights()[:4])
    assert torch.equal(few.ledger.pulses, many.ledger.pulses[:4])


@pytest.mark.parametrize("device", SIMULATED)
def test_blind_trains_do_not_depend_on_those_of_other_chips(device, seeded):
    few, many = (_xbar(device, seeded, n_chips=n, updates=UpdateCfg(method="blind")) for n in (1, 2))
    delta = 0.1 * torch.randn(2, 12, 10, generator=seeded(5))
    delta[1] *= 10.0  # far longer trains on the second chip
    for xbar in (few, many):
        xbar.write(delta[: xbar.n_chips])
    assert torch.equal(few.weights()[0], many.weights()[0])


@pytest.mark.parametrize("device", SIMULATED)
def test_a_resumed_chip_goes_on_to_the_bit(device, seeded):
    one, other = _xbar(device, seeded), _xbar(device, seeded)
    delta = 0.3 * torch.randn(4, 12, 10, generator=seeded(5))
    one.write(delta)
    one.advance(3600.0)
    other.load_state_dict(one.state_dict())
    reports = [xbar.write(-delta) for xbar in (one, other)]
    assert torch.equal(one.weights(), other.weights())
    assert torch.equal(reports[0].pulses, reports[1].pulses)
    assert torch.equal(one.copies(2).weights()[::2], one.weights())


def test_a_write_books_what_happened(seeded):
    xbar = _xbar("hermes_2_pulses", seeded, n_chips=2, shape=(40, 50))
    before = xbar.ledger.snapshot()
    report = xbar.write(torch.full((40, 50), 0.4))
    bill = xbar.ledger - before
    assert torch.equal(report.pulses, bill.pulses)
    assert bool((bill.pulses >= report.devices).all())  # each was pulsed at least once
    assert bool((report.failed >= 0).all())
    assert bool((report.failed < 0.03 * 2 * 40 * 50).all())
    assert bool((report.time_s > 0).all())
    assert bool((report.time_s < 50 * 2 * (30 * 621e-9 + 8 * 521e-9)).all())  # rows, both polarities, 30 steps each


def test_fitted_devices_book_the_means_of_simulated_ones(seeded):
    fitted, simulated = (_xbar(name, seeded, shape=(60, 80)).ledger for name in ("hermes_2", "hermes_2_pulses"))
    assert torch.equal(fitted.devices, simulated.devices)
    for name in ("set_pulses", "reset_pulses", "verify_reads_4_phase"):
        both = [float(each.counts[name].mean()) for each in (fitted, simulated)]
        assert both[0] == pytest.approx(both[1], rel=0.03)


def test_the_shipped_tables_are_what_is_measured():
    for device in (HERMES_SINGLE, HERMES_PAIR):
        new, shipped = measure(device, 3000, seed=1000), table_for(device.n_physical)
        for field in ("set_pulses", "reset_pulses", "iterations"):
            mine, theirs = (torch.tensor(getattr(each, field)[2:]) for each in (new, shipped))
            torch.testing.assert_close(mine, theirs, rtol=0.08, atol=0.02)
        assert sum(new.failed) / BINS == pytest.approx(sum(shipped.failed) / BINS, abs=3e-3)
        assert new.longest == pytest.approx(shipped.longest, rel=0.05)


def test_expected_pulses_by_hand():
    table = table_for(1)
    ghat = torch.tensor([[0.0, 1.0, 0.5, 0.5001], [0.01, 0.01, 0.01, 1.0]])
    mask = torch.tensor([[True, True, True, True], [True, False, False, True]])
    chip = torch.arange(2).repeat_interleave(4)[mask.flatten()]
    sums = expected(ghat[mask], chip, 2, 1)
    for column, values in enumerate((table.set_pulses, table.reset_pulses, table.iterations, table.failed)):
        by_hand = [values[0] + values[32] + values[16] + values[17], values[1] + values[32]]
        assert sums[:, column].tolist() == pytest.approx(by_hand)


@pytest.mark.parametrize("n", [1, 7, 1000])
def test_the_kernel_counts_targets_as_plain_torch_does(n, monkeypatch, seeded):
    ghat = torch.rand(3, n, generator=seeded()) * (torch.rand(3, n, generator=seeded(1)) > 0.3)
    ghat[:, 0] = torch.tensor([0.0, 1.0, 0.25])
    native = slot_counts(ghat)
    monkeypatch.setattr("pcm_backend.pulse_counts.usable", lambda *_: None)
    assert torch.equal(native, slot_counts(ghat))
    assert native.sum(1).tolist() == [n] * 3
    assert [int(native[i, place]) > 0 for i, place in enumerate((0, 32, 8))] == [True] * 3


def test_a_row_waits_for_its_longest_conductance():
    together = torch.tensor([[0, 1, 2, 3, 512, 10_000]])
    table = table_for(2).longest
    between = table[1] + (table[2] - table[1]) * 0.5849625  # log2 of 1.5
    wanted = [0.0, table[0], table[1], between, table[9], table[9]]
    assert expected_steps(together, 2)[0].tolist() == pytest.approx(wanted)


@pytest.mark.parametrize("device", [HERMES_SINGLE, HERMES_PAIR])
def test_the_histogram_is_one_of_shares(device):
    shares = histogram(device, 500, seed=1000)
    torch.testing.assert_close(shares.sum(1), torch.ones(BINS))
    assert float(shares[:, 0].max()) == 0.0  # every device is pulsed at least once
