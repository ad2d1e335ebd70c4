"""Wires: aihwkit's polynomial against lines solved node by node, and its cheap forms against the exact one."""

import numpy as np
import pytest
import torch

from pcm_backend import ir_drop
from tests.pcm_backend.ladders import line_current_us, pulsed_product

ROWS, WIRE_OHM = 64, 20.0  # a load of .15, as 256 rows of HERMES at 1 ohm


def _line(rng, signed, grades):
    """Return positive and negative devices (uS) and inputs of one line."""
    w = rng.standard_normal(ROWS).clip(-3, 3) / 3
    x = np.round(rng.uniform(-1, 1, ROWS) * grades) / grades
    w, x = (w, x) if signed else (np.abs(w), np.abs(x))
    return 20.7 * w.clip(0), 20.7 * (-w).clip(0), x


def _estimates(g_pos, g_neg, x, phases):
    """Return the loss from the load of every device, and from mean loads with one more product."""
    x, pos, neg = (torch.as_tensor(each)[None] for each in (x, g_pos, g_neg))
    position, means = (
        ir_drop.positions(ROWS, torch.arange(ROWS).double()),
        ir_drop.LineMeans(pos.mean(-1), neg.mean(-1)),
    )
    if phases == 1:
        load = ir_drop.exact_load(x, pos + neg, WIRE_OHM)
        cheap = ir_drop.mean_load(x.abs().sum(-1, keepdim=True), (pos + neg).mean(-1), ROWS, WIRE_OHM)
        return [float(ir_drop.loss(x, pos - neg, each, position)) for each in (load, cheap)]
    exact = 0.0
    for sign in (1, -1):
        for polarity, g in ((1, pos), (-1, neg)):
            part = (sign * x).clamp(min=0)
            load = ir_drop.exact_load(part, g, WIRE_OHM)
            exact += sign * polarity * float(ir_drop.loss(part, g, load, position))
    y, positioned = x @ (pos - neg).mT, (x * position) @ (pos - neg).mT
    load = ir_drop.mean_load(x.abs().sum(-1, keepdim=True), (pos + neg).mean(-1), ROWS, WIRE_OHM)
    return [exact, float(ir_drop.summed_loss(x, y, positioned, (pos - neg).mean(-1), load, means))]


def _slopes(signed, phases, grades):
    """Return loss by the polynomial over loss of the ladder, exact and cheap, over many lines."""
    rng, rows = np.random.default_rng(3), []
    for _ in range(20):
        g_pos, g_neg, x = _line(rng, signed, grades)
        lost = (g_pos - g_neg) @ x - pulsed_product(g_pos, g_neg, x, WIRE_OHM, phases)
        rows.append([lost, *_estimates(g_pos, g_neg, x, phases)])
    lost, *estimates = np.array(rows).T
    return [each @ lost / (lost @ lost) for each in estimates]


def test_ladder_of_two_cells_by_hand():
    # devices of 2 and 3 S at 1 V on wires of 1 ohm; a near, b far: (2 + 1 + 1) a - b = 2, (3 + 1) b - a = 3
    # => a = 11/15, b = 14/15; 11/15 A arrive, 2 x 4/15 + 3 x 1/15 leave the devices
    g = np.array([[2e6], [3e6]])
    current = line_current_us(g, np.ones((2, 1)), np.ones((2, 1), bool), wire_ohm=1.0)
    assert current == pytest.approx(11 / 15 * 1e6, rel=1e-9)


@pytest.mark.parametrize("phases", [1, 4])
@pytest.mark.parametrize("signed", [True, False])
def test_polynomial_has_direction_and_size_of_the_ladder(signed, phases):
    # 64 cells of which a phase drives a quarter are no even spread: the polynomial comes out up to a fifth too small
    exact, cheap = _slopes(signed, phases, grades=1)
    assert exact == pytest.approx(0.95, abs=0.15)
    assert cheap == pytest.approx(0.95, abs=0.2)


def test_pulses_that_start_together_lose_a_third_more_than_amplitudes():
    # lengths u, v uniform: both are on for E min(u, v) = 1/3 of the time, the product of amplitudes is E u E v = 1/4
    exact, cheap = _slopes(signed=False, phases=1, grades=8)
    assert exact == pytest.approx(0.75, abs=0.06)
    assert cheap == pytest.approx(0.75, abs=0.06)


def test_lost_share_by_hand():
    # a = .2: .2 (.5 + .2 (.01 - .2)) = .2 (.5 - .038) = .0924
    assert float(ir_drop.lost_share(torch.tensor(0.2))) == pytest.approx(0.0924)
    assert ir_drop.positions(4, torch.arange(4)).tolist() == pytest.approx([0.0, 1 - 0.75**2, 0.75, 1 - 0.25**2])


def test_formula_is_that_of_aihwkit_written_out(seeded):
    # rpu_forward_backward_pass.cpp, applyIrDrop, for w in -1 to 1, where 1 stands for 5 uS on wires of .35 ohm
    w, x, n, ratio = (
        torch.rand(3, 7, generator=seeded()) * 2 - 1,
        torch.rand(2, 7, generator=seeded(1)) - 0.5,
        7,
        5.7143e5,
    )
    expected = torch.zeros(2, 3)
    for b in range(2):
        for i in range(3):
            a = n / ratio * sum(abs(w[i, j]) * abs(x[b, j]) for j in range(n))
            c = a * (a * (0.05 * a - 0.2) + 0.5)
            expected[b, i] = c * sum(w[i, j] * x[b, j] * (1 - (1 - j / n) ** 2) for j in range(n))
    load = ir_drop.exact_load(x, 5.0 * w.abs(), 0.35)
    found = ir_drop.loss(x, w, load, ir_drop.positions(n, torch.arange(n)))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


def test_load_by_hand():
    # 2 rows at full scale, 10 uS each, wires of 50 ohm: a = 2 x 50 x 20e-6 = .002
    drive, g_us = torch.tensor([[1.0, -1.0]]), torch.full((1, 2), 10.0)
    exact = ir_drop.exact_load(drive, g_us, 50.0)
    assert float(exact) == pytest.approx(2e-3)
    torch.testing.assert_close(ir_drop.mean_load(torch.tensor([[2.0]]), g_us.mean(-1), 2, 50.0), exact)


def test_no_load_no_loss(seeded):
    x, y = torch.randn(5, 7, generator=seeded(1)), torch.randn(5, 3, generator=seeded(2))
    means = ir_drop.LineMeans(torch.ones(3), torch.ones(3))
    assert not ir_drop.summed_loss(x, y, y, torch.ones(3), torch.zeros(5, 3), means).any()
