"""Drift compensation by line, by chip and matrix, and none."""

from typing import get_args

import pytest
import torch

from pcm_backend import Crossbar, CrossbarCfg
from pcm_backend.config import Compensated

MONTH_S = 30 * 86400.0


def _chips(seeded, kind, **cfg):
    w = torch.randn(6, 80, generator=seeded(99)) * 0.2
    own = CrossbarCfg(compensation=kind, read_noise="off", dac_bits=0, adc_bits=0, **cfg)
    return w, Crossbar(w, own, n_chips=4, generator=seeded())


@pytest.mark.parametrize("slices", [1, 2])
def test_global_factor_is_mean_magnitude_before_over_now(slices, seeded):
    # aihwkit inference/compensation/drift.py: mean |y| over one-hot inputs and all lines, baseline over now
    _, xbar = _chips(seeded, "global", slices=slices)
    before = xbar.conductances_us()
    xbar.advance(MONTH_S)
    now = xbar.conductances_us()
    strengths = [(g[:, :, 0] - g[:, :, 1]).abs().mean((2, 3)) for g in (before, now)]
    expected = (strengths[0] / strengths[1]).unsqueeze(-1).expand(4, slices, 6)
    torch.testing.assert_close(xbar.factors, expected, rtol=1e-5, atol=0)
    assert float(xbar.factors.min()) > 1.2


def test_a_write_leaves_the_global_factor_where_it_was(seeded):
    _, xbar = _chips(seeded, "global")
    xbar.advance(MONTH_S)
    before = xbar.factors.clone()
    delta = torch.zeros(4, 6, 80)
    delta[:2, 3] = 0.2  # chips 2 and 3 receive nothing
    xbar.write(delta)
    xbar.recalibrate()
    torch.testing.assert_close(xbar.factors, before, rtol=1e-4, atol=0)


def test_without_compensation_it_drifts_and_no_calibration_is_billed(seeded):
    w, xbar = _chips(seeded, "none")
    xbar.advance(MONTH_S)
    xbar.write(torch.zeros(4, 6, 80))
    assert torch.equal(xbar.factors, torch.ones(4, 1, 6))
    assert xbar.ledger.calibration_products.tolist() == [0.0] * 4
    slope = float((xbar.weights() * w).sum() / (w * w).sum()) / 4
    assert 0.5 < slope < 0.85  # nu of .06 over ln(30 days / 300 s) = 9: exp(-.55)


def test_finer_factors_leave_smaller_errors(seeded):
    errors = []
    for kind in get_args(Compensated):
        w, xbar = _chips(seeded, kind)
        xbar.advance(12 * MONTH_S)
        errors.append(float((xbar.weights() - w).square().mean().sqrt()))
    assert errors[0] < errors[1] < errors[2]


def test_other_kinds_are_refused():
    with pytest.raises(ValueError, match="unknown compensation 'row'"):
        CrossbarCfg(compensation="row")  # type: ignore[arg-type]
