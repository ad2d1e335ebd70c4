"""Second looks: what errs in the end are the tries that came out small, and every read and pulse is on the bill."""

import re

import pytest
import torch

from pcm_backend import Crossbar, CrossbarCfg, LooksCfg, UpdateCfg

W = (30, 60)


NONE = LooksCfg()


def _chip(seeded, looks=NONE, *, base="target", device="hermes_2", **options):
    options = {"w_range": 1.0, "read_noise": "off", "verify_reads": 1} | options
    cfg = CrossbarCfg(device=device, updates=UpdateCfg(base=base, looks=looks), **options)
    return Crossbar(torch.randn(W, generator=seeded(1)) * 0.2, cfg, n_chips=8, generator=seeded())


def _delta(seeded):
    return torch.randn(8, *W, generator=seeded(2)) * 0.2


def _errors(xbar, seeded, base="target"):
    """Return the mean square error of the first programming and that of a write of all cells."""
    weights = torch.randn(W, generator=seeded(1)) * 0.2
    first = (xbar.weights() - weights).square().mean()
    held = weights if base == "target" else xbar.weights()
    xbar.write(_delta(seeded))
    return torch.stack([first, (xbar.weights() - (held + _delta(seeded)).clamp(-1, 1)).square().mean()])


def test_what_one_look_leaves_by_hand():
    # above 1: P(|x| < 1) = .68269, E[x^2; |x| < 1] = .68269 - 2 (.24197) = .19875; with 1 - .68269 tried anew:
    # .19875 + .31731 x 1 = .51606
    assert LooksCfg(1, 1.0).share_left == pytest.approx(0.51606, abs=1e-5)
    assert LooksCfg(0).share_left == 1.0
    assert LooksCfg(100, 1.0).share_left == pytest.approx(0.19875 / 0.68269, abs=1e-4)


@pytest.mark.parametrize("base", ["target", "read"])
@pytest.mark.parametrize("device", ["hermes_2", "hermes_1", "pcm_like"])
@pytest.mark.parametrize("looks", [LooksCfg(1, 1.0), LooksCfg(3, 0.7)], ids=["one", "three"])
def test_errors_fall_as_the_formula_says(looks, device, base, seeded):
    """Within what the error of the factors adds, which no look at single cells mends."""
    plain, seen = (_errors(_chip(seeded, each, base=base, device=device), seeded, base) for each in (NONE, looks))
    left = seen / plain
    assert bool((left > 0.9 * looks.share_left).all())
    assert bool((left < 1.1 * looks.share_left + 0.06).all())


def test_errors_fall_on_second_slices_and_on_several_rows_too(seeded):
    for options in ({"slices": 2}, {"rows_per_weight": 3}):
        plain, seen = (_errors(_chip(seeded, each, **options), seeded) for each in (NONE, LooksCfg(2, 0.8)))
        assert bool((seen < 0.6 * plain).all())


def test_a_look_costs_reads_pulses_energy_and_time_and_leaves_other_cells_alone(seeded):
    delta = _delta(seeded) * (torch.arange(60) % 3 == 0)
    reports, ledgers = [], []
    for looks in (NONE, LooksCfg(2, 0.8)):
        xbar = _chip(seeded, looks)
        xbar.advance(3600.0)
        reports.append(xbar.write(delta))
        touched = (xbar.ages_s() < 1800.0).any(2).squeeze(1)
        assert not touched[delta == 0].any()
        assert touched[delta != 0].all()
        ledgers.append(xbar.ledger)
    plain, seen = reports
    for name in ("pulses", "energy_j", "time_s"):
        assert bool((getattr(seen, name) > 1.2 * getattr(plain, name)).all())
    assert bool((ledgers[1].energy_j() > ledgers[0].energy_j()).all())
    assert bool((seen.increments == plain.increments).all())
    assert seen.devices.mean() == pytest.approx(float(plain.devices.mean()), rel=0.02)
    assert seen.base == plain.base == "target"


def test_what_is_added_to_the_weight_that_a_read_finds_is_called_so(seeded):
    assert _chip(seeded, LooksCfg(1), base="read").write(_delta(seeded)).base == "read"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LooksCfg(-1), "rounds must be a whole number, 0 to 100, got -1"),
        (lambda: LooksCfg(True), "got True"),
        (lambda: LooksCfg(1, 0.0), "above must be positive and finite, got 0.0"),
        (lambda: UpdateCfg(method="blind", looks=LooksCfg(1)), "writes by 'blind' do not; choose looks of 0 rounds"),
    ],
)
def test_wrong_looks_are_refused_by_name(make, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        make()
