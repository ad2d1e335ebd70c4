"""What is asked of the devices: increments spared, rounded, gathered."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm_backend.updates import UpdateCfg, gather, keep_largest, round_stochastically, spare


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"method": "laser"}, "set_only"),
        ({"by": "mixed"}, "blind"),
        ({"first": "best"}, "gdp"),
        ({"base": "hope"}, "target"),
        ({"step": 0.0}, "step"),
        ({"step_share": 1.5}, "step_share"),
        ({"threshold": -1.0}, "threshold"),
        ({"top_k": 0}, "top_k"),
        ({"top_k": 1.5}, "top_k"),
        ({"top_k": True}, "top_k"),
    ],
)
def test_wrong_values_are_named(options, word):
    with pytest.raises(ValueError, match=word):
        UpdateCfg(**options)


def test_the_grid_is_a_weight_or_a_share_of_the_range():
    limit = torch.tensor([[1.6], [3.2]])
    assert UpdateCfg(step=0.3).grid(limit).flatten().tolist() == pytest.approx([0.3, 0.3])
    assert UpdateCfg().grid(limit).flatten().tolist() == pytest.approx([0.1, 0.2])


def test_steps_are_written_by_the_pulses_that_are_named():
    assert [UpdateCfg(method=m, by="blind").pulses for m in ("verify", "set_only", "mixed", "stochastic")] == [
        "verify",
        "set_only",
        "blind",
        "blind",
    ]


def test_spared_by_hand():
    delta = torch.tensor([[[0.3, -0.1, 0.0, -0.5]]])
    mask = torch.tensor([[True, True, True, False]])
    assert spare(delta, mask, UpdateCfg(), 1).flatten().tolist() == pytest.approx([0.3, -0.1, 0.0, 0.0])
    assert spare(delta, None, UpdateCfg(threshold=0.2), 1).flatten().tolist() == pytest.approx([0.3, 0.0, 0.0, -0.5])
    assert spare(delta, None, UpdateCfg(top_k=1), 1).flatten().tolist() == pytest.approx([0.0, 0.0, 0.0, -0.5])
    assert spare(delta, mask, UpdateCfg(threshold=0.2, top_k=0.5), 1).flatten().tolist() == pytest.approx(
        [0.3, 0.0, 0.0, 0.0]
    )


def test_a_mask_must_be_one():
    for mask in (torch.ones(1, 4), torch.ones(1, 5, dtype=torch.bool)):
        with pytest.raises(ValueError, match="mask must be bool"):
            spare(torch.zeros(2, 1, 4), mask, UpdateCfg(), 2)


@settings(max_examples=50, deadline=None)
@given(chips=st.integers(1, 4), cells=st.integers(1, 30), k=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_the_largest_are_kept_in_every_chip(chips, cells, k, seed):
    delta = torch.randn(chips, 1, cells, generator=torch.Generator().manual_seed(seed))
    kept = keep_largest(delta, k)
    assert (kept != 0).sum((1, 2)).tolist() == [min(k, cells)] * chips
    assert torch.equal(kept[kept != 0], delta[kept != 0])
    dropped = torch.where(kept == 0, delta.abs(), 0.0).amax((1, 2))
    weakest = torch.where(kept != 0, kept.abs(), torch.inf).amin((1, 2))
    assert bool((dropped <= weakest).all())


def test_rounding_by_hand():
    """.23 on a grid of .1 is .2 or .3, the latter with a chance of .3; -.23 is -.3 with a chance of .3."""
    delta, step = torch.tensor([0.23, 0.23, -0.23, -0.23, 0.0]), torch.tensor(0.1)
    rounded = round_stochastically(delta, step, torch.tensor([0.29, 0.31, 0.69, 0.71, 0.0]))
    assert rounded.tolist() == pytest.approx([0.3, 0.2, -0.2, -0.3, 0.0])


@settings(max_examples=50, deadline=None)
@given(value=st.floats(-3, 3, width=32), step=st.floats(0.0625, 1, width=32), seed=st.integers(0, 10**6))
def test_rounding_has_no_bias_and_stays_within_a_step(value, step, seed):
    uniform = torch.rand(20_000, generator=torch.Generator().manual_seed(seed))
    rounded = round_stochastically(torch.full_like(uniform, value), torch.tensor(step), uniform)
    assert float((rounded - value).abs().max()) <= step * (1 + 1e-5)
    assert float(rounded.mean()) == pytest.approx(value, abs=5 * 0.5 * step / 20_000**0.5 + 1e-5)


def test_gathered_by_hand():
    """Thirds of a step: nothing, nothing, a step; the other way round towards zero too."""
    left, written = torch.zeros(2), []
    for _ in range(4):
        write, left = gather(left, torch.tensor([0.35, -0.35]), torch.tensor(1.0))
        written.append(write.tolist())
    assert written == [[0.0, 0.0], [0.0, 0.0], [1.0, -1.0], [0.0, 0.0]]
    assert left.tolist() == pytest.approx([0.4, -0.4])


@settings(max_examples=50, deadline=None)
@given(step=st.floats(0.0625, 1, width=32), seed=st.integers(0, 10**6))
def test_nothing_that_is_gathered_gets_lost(step, seed):
    deltas = torch.randn(20, 50, generator=torch.Generator().manual_seed(seed)) * 0.3
    left, written = torch.zeros(50), torch.zeros(50)
    for delta in deltas:
        write, left = gather(left, delta, torch.tensor(step))
        written += write
        assert float(left.abs().max()) < step
        whole = write / step
        torch.testing.assert_close(whole, whole.round(), rtol=0, atol=1e-4)
    torch.testing.assert_close(written + left, deltas.sum(0), rtol=1e-4, atol=1e-4)
