"""Rows that hold the same weight divide its error by the root of their number; full scales that double stay fine."""

from __future__ import annotations

import pytest
import torch

from pcm_backend import Crossbar, CrossbarCfg


def _crossbar(rows: int, device: str = "hermes_2", **options: object) -> Crossbar:
    weights = torch.linspace(-1, 1, 40 * 30).reshape(40, 30)
    cfg = CrossbarCfg(device=device, rows_per_weight=rows, dac_bits=0, adc_bits=0, **options)  # type: ignore[arg-type]
    bias = torch.linspace(-0.5, 0.5, 40)
    return Crossbar(weights, cfg, n_chips=8, generator=torch.Generator().manual_seed(1), bias=bias)


def test_ideal_rows_compute_the_same_product():
    x = torch.randn(8, 5, 30, generator=torch.Generator().manual_seed(2))
    one, four = _crossbar(1, "ideal"), _crossbar(4, "ideal")
    assert torch.allclose(one(x), four(x), atol=1e-4)
    delta = torch.randn(40, 30, generator=torch.Generator().manual_seed(3)) * 0.1
    one.write(delta)
    four.write(delta)
    assert torch.allclose(one.weights(), four.weights(), atol=1e-4)


def test_programming_and_read_errors_fall_with_the_root_of_the_rows():
    exact = torch.linspace(-1, 1, 40 * 30).reshape(40, 30)
    stored = {rows: (_crossbar(rows).weights() - exact).std() for rows in (1, 4)}
    assert stored[4] / stored[1] == pytest.approx(0.5, rel=0.06)
    x = torch.ones(8, 200, 30)
    read = {rows: _crossbar(rows)(x).std(dim=1).mean() for rows in (1, 4)}
    assert read[4] / read[1] == pytest.approx(0.5, rel=0.06)


def test_a_write_pulses_every_row():
    delta = torch.zeros(40, 30)
    delta[3, 7] = 0.2
    counts = {rows: float(_crossbar(rows).write(delta).devices.mean()) for rows in (1, 4)}
    assert counts[4] == pytest.approx(4 * counts[1], rel=0.3)


def test_rows_per_weight_must_be_a_count():
    with pytest.raises(ValueError, match="rows_per_weight"):
        CrossbarCfg(rows_per_weight=0)


def test_doubling_the_full_scale_keeps_small_outputs_fine_and_is_billed():
    weights = torch.eye(2)
    cfg = CrossbarCfg(device="ideal", dac_bits=0, adc_bits=8, out_range=1.0, out_doublings=3)
    crossbar = Crossbar(weights, cfg, n_chips=1, generator=torch.Generator().manual_seed(0))
    before = crossbar.ledger.products.clone()
    y = crossbar(torch.tensor([[[0.1, 0.2], [3.0, 0.2], [100.0, 0.2]]]))
    # steps of 1/127; 3 needs two doublings (steps of 4/127), 100 clips at 8, the last full scale
    assert torch.allclose(y[0, 0], torch.tensor([13 / 127, 25 / 127]), atol=1e-5)
    assert torch.allclose(y[0, 1], torch.tensor([95 * 4 / 127, 6 * 4 / 127]), atol=1e-5)
    assert y[0, 2, 0] == pytest.approx(8.0)
    assert float(crossbar.ledger.products - before) == 1 + 3 + 4
