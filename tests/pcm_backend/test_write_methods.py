"""The ways to turn an increment into pulses, on chips: laws of all of them, and what sets each apart."""

import pytest
import torch

from pcm_backend import Crossbar, CrossbarCfg, GdpCfg, UpdateCfg

METHODS = ["verify", "blind", "set_only", "stochastic", "mixed"]
DAY_S = 86400.0


def _chip(seeded, device="hermes_2", shape=(24, 32), n_chips=4, sd=0.2, **options):
    weights = torch.randn(shape, generator=seeded(1)) * sd
    updates = UpdateCfg(**{k: options.pop(k) for k in list(options) if k in UpdateCfg.__dataclass_fields__})
    cfg = CrossbarCfg(device=device, w_range=1.0, updates=updates, **options)
    return Crossbar(weights, cfg, n_chips=n_chips, generator=seeded())


def _some(xbar, seeded, sd, share=0.3):
    shape = (xbar.n_chips, xbar.out_features, xbar.in_features)
    chosen = torch.rand(shape, generator=seeded(5)) < share
    return torch.randn(shape, generator=seeded(6)) * sd * chosen


@pytest.mark.parametrize("device", ["ideal", "hermes_1", "hermes_2", "hermes_2_pulses"])
@pytest.mark.parametrize("read_noise", ["each", "frozen"])
@pytest.mark.parametrize("method", METHODS)
def test_laws_of_every_method(method, read_noise, device, seeded):
    """What has no increment does not move; large increments arrive on the whole; a zero increment is free."""
    xbar = _chip(seeded, device, read_noise=read_noise, method=method, step=0.01 if method == "mixed" else None)
    xbar.advance(DAY_S, calibrate=False)
    delta = _some(xbar, seeded, 0.25)
    before = xbar.weights()
    report = xbar.write(delta)
    change = xbar.weights() - before
    assert torch.equal(change[delta == 0], torch.zeros_like(change[delta == 0]))
    hit = delta != 0
    assert float(torch.corrcoef(torch.stack([delta[hit], change[hit]]))[0, 1]) > 0.8
    assert report.method == method
    assert bool((report.increments <= hit.flatten(1).sum(1)).all())
    spent = xbar.ledger.snapshot()
    xbar.write(torch.zeros_like(delta))
    if method != "mixed":  # there the rest of earlier increments waits, and stays less than a step
        assert float((xbar.ledger - spent).energy_j().abs().sum()) == 0.0


@pytest.mark.parametrize("method", METHODS)
def test_a_state_goes_on_to_the_bit(method, seeded):
    xbar = _chip(seeded, method=method)
    delta = _some(xbar, seeded, 0.03)
    xbar.write(delta)
    xbar.advance(DAY_S)
    twin = _chip(lambda seed=0: seeded(seed + 50), method=method)
    twin.load_state_dict(xbar.state_dict())
    for each in (xbar, twin):
        each.write(delta)
        each.advance(10.0)
    assert torch.equal(xbar.weights(), twin.weights())
    assert torch.equal(xbar.write(delta).energy_j, twin.write(delta).energy_j)


def test_blind_trains_read_nothing_and_never_reset(seeded):
    xbar = _chip(seeded, method="blind")
    before, counts = xbar.conductances_us(), xbar.ledger.snapshot()
    delta = _some(xbar, seeded, 0.3)
    report = xbar.write(delta)
    spent = xbar.ledger - counts
    assert float(spent.verify_reads.sum()) == float(spent.counts["reset_pulses"].sum()) == 0.0
    assert torch.equal(report.pulses, spent.counts["set_pulses"])
    moved = xbar.conductances_us() != before
    assert not bool(moved[:, 0, 0][delta <= 0].any())  # the positive devices of cells that shrink or rest
    assert not bool(moved[:, 0, 1][delta >= 0].any())
    assert bool((xbar.ages_s()[moved] == 0).all())


def test_blind_pulses_by_hand(seeded):
    """A step of .1558 of one device is .0779 of both: .2 of the range is 2.57 steps, so 3 pulses, on both devices."""
    xbar = _chip(seeded, shape=(1, 2), n_chips=1, method="blind")
    report = xbar.write(torch.tensor([[0.2, 0.03]]))  # .03 is less than half a step
    assert (float(report.pulses), float(report.devices), float(report.increments)) == (3.0, 2.0, 2.0)
    assert float(report.time_s) == pytest.approx(3 * 100e-9)  # one row, its longest train


def test_pairs_that_come_to_their_end_are_refreshed(seeded):
    """Growing on both sides in turn fills both devices, until a refresh leaves one of them off; the weight goes on."""
    xbar = _chip(seeded, shape=(8, 16), method="set_only", sd=0.1)
    resets, fullest, errors = 0.0, [], []
    for sign in [1, -1] * 10:
        before, bill = xbar.weights(), xbar.ledger.snapshot()
        xbar.write(torch.full((8, 16), 0.15 * sign))
        resets += float((xbar.ledger - bill).counts["reset_pulses"].sum())
        errors.append(xbar.weights() - before - 0.15 * sign)
        fullest.append(float(xbar.conductances_us().amin(2).mean()))  # of each pair the device that conducts less
    assert resets > 0
    assert max(fullest) > 4 * fullest[0]
    assert float(xbar.conductances_us().amin(2).max()) < 20.7 * 0.9  # never both at the end
    assert abs(float(torch.stack(errors).mean())) < 0.02
    assert float(torch.stack(errors).std()) < 0.12


def test_rounded_increments_lie_on_the_grid_and_are_right_on_average(seeded):
    xbar = _chip(seeded, "ideal", shape=(32, 32), method="stochastic", step=0.1)
    before, delta = xbar.weights(), torch.full((32, 32), 0.03)
    report = xbar.write(delta)
    steps = (xbar.weights() - before) / 0.1
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-4)
    assert float(steps.mean()) == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / 4096) ** 0.5)
    assert float(report.increments.sum()) == float((steps.round() != 0).sum())
    assert float(report.devices.sum()) >= 2 * float(report.increments.sum())


def test_a_default_grid_is_a_sixteenth_of_the_range(seeded):
    cfg = CrossbarCfg(device="ideal", w_range=(1.6, 3.2), updates=UpdateCfg(method="stochastic"))
    xbar = Crossbar(torch.zeros(2, 50), cfg, n_chips=2, generator=seeded())
    xbar.write(torch.full((2, 50), 0.05))
    assert xbar.weights()[:, 0].unique().tolist() == pytest.approx([0.0, 0.1], abs=1e-6)
    assert xbar.weights()[:, 1].unique().tolist() == pytest.approx([0.0, 0.2], abs=1e-6)


def test_increments_gather_until_they_make_a_step(seeded):
    """Three times .04 at a grid of .1: nothing, nothing, one step; .02 wait."""
    xbar = _chip(seeded, "ideal", shape=(2, 3), method="mixed", step=0.1)
    before, written = xbar.weights(), []
    for _ in range(3):
        written.append(float(xbar.write(torch.full((2, 3), 0.04)).increments.sum()))
    assert written == [0.0, 0.0, 4.0 * 6]
    torch.testing.assert_close(xbar.weights() - before, torch.full((4, 2, 3), 0.1), rtol=0, atol=1e-5)
    copies = xbar.copies(2)  # what waits is copied too: .02 + .08 make a step
    copies.write(torch.full((2, 3), 0.081))
    torch.testing.assert_close(copies.weights()[0] - before[0], torch.full((2, 3), 0.2), rtol=0, atol=1e-5)


def test_mixed_precision_teaches_what_single_writes_lose(seeded):
    """Forty increments of 1 % of the range: each is lost in the error of a write, their sum arrives in steps."""
    delta = torch.full((24, 32), 0.01) * torch.where(torch.rand(24, 32, generator=seeded(3)) < 0.5, 1.0, -1.0)
    errors, devices = {}, {}
    for method in ("verify", "mixed"):
        xbar = _chip(seeded, method=method)
        before = xbar.weights()
        devices[method] = sum(float(xbar.write(delta).devices.mean()) for _ in range(40))
        errors[method] = float((xbar.weights() - before - 40 * delta).std())
    assert errors["mixed"] < 0.5 * errors["verify"]
    assert devices["mixed"] < 0.3 * devices["verify"]


def test_steps_can_be_written_blind(seeded):
    xbar = _chip(seeded, method="mixed", by="blind", step=0.16)
    bill = xbar.ledger.snapshot()
    xbar.write(torch.full((24, 32), 0.17))
    assert float((xbar.ledger - bill).pulses.sum()) == 4 * 24 * 32 * 2  # a step of .16 is two pulses, .0779 each


@pytest.mark.parametrize("slices", [1, 2])
def test_a_copy_of_the_targets_keeps_errors_from_adding_up(slices, seeded):
    """Up and down ten times: added to what is read the errors of twenty writes add up, added to a copy they do not."""
    errors = {}
    for base in ("read", "target"):
        xbar = _chip(seeded, base=base, slices=slices)
        start, delta = torch.randn(24, 32, generator=seeded(1)) * 0.2, torch.full((24, 32), 0.2)
        reports = [xbar.write(sign * delta) for sign in [1, -1] * 10]
        assert {report.base for report in reports} == {base}
        assert reports[-1].base_bytes == (4 * 24 * 32 if base == "target" else 0)
        inside = start.abs() < 0.7
        errors[base] = float((xbar.weights() - start)[:, inside].std())
    assert errors["target"] < 0.4 * errors["read"]


def test_a_copy_can_be_begun_by_a_write(seeded):
    xbar = _chip(seeded, "ideal")
    before, bill = xbar.weights(), xbar.ledger.snapshot()
    report = xbar.write(torch.full((24, 32), 0.1), base="target")
    torch.testing.assert_close(xbar.weights(), (before + 0.1).clamp(-1, 1), rtol=0, atol=1e-5)
    assert report.base == "target"
    everything = 8 * 24 * 32  # eight reads of every cell, and eight more of those that are written
    assert float((xbar.ledger - bill).verify_reads.min()) >= 2 * everything
    twin = _chip(seeded, "ideal")
    twin.load_state_dict(xbar.state_dict())
    assert twin.write(torch.full((24, 32), 0.1), base="target").base_bytes == 4 * 24 * 32


def test_masked_small_and_low_ranked_increments_are_spared(seeded):
    xbar = _chip(seeded, "ideal", shape=(2, 4), n_chips=2)
    before = xbar.weights()
    xbar.write(torch.full((2, 4), 0.1), mask=torch.tensor([[True, False, True, True]] * 2))
    assert ((xbar.weights() - before) == 0).tolist() == [[[False, True, False, False]] * 2] * 2
    delta = torch.tensor([[0.3, 0.2, -0.4, 0.05], [0.1, 0.0, 0.02, 0.25]])
    for options, kept in (({"threshold": 0.2}, 4), ({"top_k": 3}, 3), ({"top_k": 0.25}, 2)):
        xbar = _chip(seeded, "ideal", shape=(2, 4), n_chips=2, **options)
        assert xbar.write(delta).increments.tolist() == [kept, kept]


def test_the_report_tells_lost_increments(seeded):
    """Hermes_2 errs by .17 to 1.1 uS of 20.7: an increment of .001 of the range is lost, one of .3 is not."""
    xbar = _chip(seeded)
    small, large = (xbar.write(torch.full((24, 32), size)) for size in (0.001, 0.3))
    assert small.below_error.tolist() == small.increments.tolist() == [24.0 * 32] * 4
    assert large.below_error.tolist() == [0.0] * 4
    xbar = _chip(seeded, "ideal")
    assert float(xbar.write(torch.full((24, 32), 1e-6)).below_error.sum()) == 0.0
    # rows that hold the same weight average their errors: .04 is less than the error of one, more than that of 16
    one, many = (_chip(seeded, rows_per_weight=rows) for rows in (1, 16))
    lost = [each.write(torch.full((24, 32), 0.03)) for each in (one, many)]
    assert float(lost[1].below_error.sum() / lost[1].increments.sum()) == 0.0
    assert float(lost[0].below_error.sum() / lost[0].increments.sum()) > 0.3


def test_descent_on_products_halves_the_error_and_is_billed(seeded):
    plain, refined = (_chip(seeded, shape=(32, 48), first=first) for first in ("verify", "gdp"))
    weights = torch.randn(32, 48, generator=seeded(1)) * 0.2
    errors = [float((xbar.weights() - weights).std()) for xbar in (plain, refined)]
    assert errors[1] < 0.65 * errors[0]
    assert refined.ledger.products.tolist() == [10.0 * 8 * 48] * 4  # rounds, inputs for each row
    assert bool((refined.ledger.devices > plain.ledger.devices).all())
    few = _chip(seeded, shape=(32, 48), first="gdp", gdp=GdpCfg(rounds=2, inputs_per_row=4.0))
    assert few.ledger.products.tolist() == [2.0 * 4 * 48] * 4


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: CrossbarCfg(slices=2, updates=UpdateCfg(method="blind")), "slices=2"),
        (lambda: CrossbarCfg(slices=2, updates=UpdateCfg(method="mixed", by="set_only")), "slices=2"),
        (lambda: CrossbarCfg(device="hermes_1", updates=UpdateCfg(first="max_set_fill")), "hermes_1"),
        (lambda: UpdateCfg(method="blind", base="target"), "blind"),
    ],
)
def test_what_does_not_go_together_is_named(make, word):
    with pytest.raises(ValueError, match=word):
        make()


def test_wrong_bases_and_masks_are_named(seeded):
    xbar = _chip(seeded)
    with pytest.raises(ValueError, match=r"unknown base 'memory'.*read"):
        xbar.write(torch.zeros(24, 32), base="memory")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mask must be bool"):
        xbar.write(torch.zeros(24, 32), mask=torch.ones(24, 32))
    with pytest.raises(ValueError, match="blind"):
        _chip(seeded, method="blind").write(torch.zeros(24, 32), base="target")


def test_states_with_and_without_an_accumulator_do_not_mix(seeded):
    with pytest.raises(ValueError, match="accumulator"):
        _chip(seeded).load_state_dict(_chip(seeded, method="mixed").state_dict())


@pytest.mark.parametrize(
    "options", [{"threshold": 0.1}, {"method": "mixed"}, {"method": "stochastic"}, {"top_k": 3}, {}]
)
def test_no_way_to_write_takes_nan(options, seeded):
    xbar = _chip(seeded, **options)
    before = xbar.weights()
    delta = torch.full((24, 32), float("nan"))
    for base in ("read", "target"):
        with pytest.raises(ValueError, match="NaN"):
            xbar.write(delta, base=base)
    xbar.write(torch.zeros(24, 32), base="target")  # nothing was gathered or remembered
    assert torch.equal(xbar.weights(), before)
