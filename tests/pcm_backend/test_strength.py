"""Strengths of lines, measured by one number of noise a line and moved by writes; and the moments of programming."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm_backend import Crossbar, CrossbarCfg
from pcm_backend import epochs as epochs_module
from pcm_backend.epochs import Epochs

DAY_S = 86400.0


@pytest.mark.parametrize("device", ["hermes_2", "pcm_like"])
def test_one_number_a_line_measures_as_a_number_a_row_does(device, seeded):
    """Mean and deviation over 4,000 measurements of lines, against reads of every row apart."""
    cfg = CrossbarCfg(device=device, calibration_reads=4)
    xbar = Crossbar(torch.randn(5, 24, generator=seeded(1)), cfg, n_chips=1, generator=seeded()).copies(4000)
    array = xbar._array
    got = array.strength_us()[:, 0, :, 0]
    mean, variance = array.pairs.moments()
    assert variance is not None
    current, spread = mean[:, 0, 0] - mean[:, 0, 1], (variance[:, 0, 0] + variance[:, 0, 1]) / 4
    apart = (current + spread.sqrt() * torch.randn(current.shape, generator=seeded(2))).square().mean(-1).sqrt()
    assert ((got.mean(0) - apart.mean(0)).abs() < 4.5 * apart.std(0) * (2 / 4000) ** 0.5).all()
    torch.testing.assert_close(got.std(0), apart.std(0), rtol=0.06, atol=0)  # 4.5 deviations of two estimates


@settings(max_examples=15, deadline=None)
@given(slices=st.sampled_from([1, 2]), n_in=st.sampled_from([7, 300]), seed=st.integers(0, 10**6))
def test_sums_that_follow_writes_are_those_of_a_walk(slices, n_in, seed):
    g = torch.Generator().manual_seed(seed)
    xbar = Crossbar(torch.randn(4, n_in, generator=g), CrossbarCfg(slices=slices), n_chips=3, generator=g)
    xbar.advance(DAY_S)
    array = xbar._array
    for _ in range(3):
        xbar.write(torch.randn(3, 4, n_in, generator=g) * (torch.rand(3, 4, n_in, generator=g) < 0.3))
    moved = array.sums.sums.clone()
    array.sums.forget()
    array.sums.refresh(array.pairs)
    torch.testing.assert_close(moved, array.sums.sums, rtol=1e-4, atol=1e-4)


def test_a_write_walks_only_chips_whose_sums_are_late(seeded, monkeypatch):
    xbar = Crossbar(torch.randn(4, 6, generator=seeded(1)), n_chips=3, generator=seeded())
    xbar.advance(DAY_S)
    array, walked = xbar._array, []
    refresh = type(array.pairs).moments
    monkeypatch.setattr(array.pairs, "fast", None)
    monkeypatch.setattr(
        type(array.pairs), "moments", lambda self, *a, **k: (walked.append(k.get("chips")), refresh(self, *a, **k))[1]
    )
    xbar.write(torch.full((4, 6), 0.1))
    assert walked == []  # the advance measured everything a moment ago
    array.clock.now_s[1] += 1.0
    xbar.write(torch.full((4, 6), 0.1))
    assert [each.tolist() for each in walked] == [[1]]


def test_moments_that_no_device_has_are_forgotten_and_ages_stay(monkeypatch, seeded):
    monkeypatch.setattr(epochs_module, "_FIRST_CLEARANCE", 8)
    shape = (2, 1, 2, 3, 4)
    now_s = torch.zeros(2, dtype=torch.float64)
    epochs, by_hand = Epochs.begin(shape, now_s), torch.zeros(shape, dtype=torch.float64)
    for step in range(200):
        now_s = now_s + torch.tensor([1.0, 2.0], dtype=torch.float64)
        flat = torch.randint(48, (3,), generator=seeded(step)).unique()
        epochs.open(now_s)
        epochs.mark(flat)
        by_hand.view(-1)[flat] = now_s[flat // 24]
        wanted = now_s[:, None, None, None, None] - by_hand
        assert torch.equal(epochs.ages_s(now_s).expand(shape), wanted)
        assert torch.equal(epochs.ages_at(now_s, flat // 24, flat), wanted.view(-1)[flat])
    assert epochs.times_s.shape[1] <= 2 * 48
