"""Four phases: their partial results, conversions and errors; and the configuration of all that errs."""

import pytest
import torch

from pcm_backend import phases
from pcm_backend.periphery import PeripheryCfg


def _pairs(seeded):
    w = torch.randn(3, 4, 9, generator=seeded(1))
    return torch.stack([w.clamp(min=0), (-w).clamp(min=0)], 1), torch.randn(3, 5, 9, generator=seeded(2))


def test_four_partial_results_add_up_to_the_product_and_none_is_negative(seeded):
    weights, x = _pairs(seeded)
    parts = phases.partial_products(phases.split_signs(x), weights)
    assert parts.shape == (3, 2, 2, 5, 4)
    assert float(parts.min()) >= 0.0
    expected = x @ (weights[:, 0] - weights[:, 1]).mT
    torch.testing.assert_close(phases.recombined(parts), expected, rtol=1e-5, atol=1e-5)


def test_which_phase_is_which():
    weights = torch.tensor([[[[2.0, 0.0]], [[0.0, 3.0]]]])  # a positive device on row 0, a negative one on row 1
    parts = phases.partial_products(phases.split_signs(torch.tensor([[[5.0, -7.0]]])), weights)
    assert parts[0, :, :, 0, 0].tolist() == [[10.0, 0.0], [0.0, 21.0]]  # inputs +, -; polarities +, -


def test_offset_of_a_converter_cancels_over_four_phases(seeded):
    weights, x = _pairs(seeded)
    parts = phases.partial_products(phases.split_signs(x), weights)
    torch.testing.assert_close(phases.recombined(parts + 0.3), phases.recombined(parts), rtol=1e-5, atol=1e-5)


def test_counts_go_from_zero_to_full_scale_in_all_steps():
    y = torch.tensor([-1.0, 0.0, 0.4, 1.4, 6.7, 9.0])
    assert phases.count_up(y, 3, 7.0).tolist() == pytest.approx([0.0, 0.0, 0.0, 1.0, 7.0, 7.0])  # 7 steps of 1
    assert torch.equal(phases.count_up(y, 0, 7.0), y)


def test_rounding_noise_of_four_counts_is_that_of_one_signed_conversion_of_the_same_range(seeded):
    # four errors of half the step, uniform: 4 x (s / 2)^2 / 12 = s^2 / 12
    parts = torch.rand(1, 2, 2, 1, 50_000, generator=seeded(1))
    error = phases.recombined(phases.count_up(parts, 8, 1.0) - parts)
    assert float(error.std()) == pytest.approx((1 / 127.5) / 12**0.5, rel=0.02)


def test_polarity_error_by_hand():
    # inputs .5 and -1.5, weights of 4 on the mean: T = 2 x 4 = 8; -d T / 2 with d = .05
    error = phases.polarity_error(torch.tensor([[[0.5, -1.5]]]), torch.tensor([[4.0]]), torch.tensor([[0.05]]))
    assert float(error) == pytest.approx(-0.2)


def test_polarity_error_is_what_conductances_of_two_polarities_leave(seeded):
    weights, x = _pairs(seeded)
    d = 0.08
    parts = phases.partial_products(phases.split_signs(x), weights)
    positive, negative = parts[:, 0, 0] + parts[:, 1, 1], parts[:, 0, 1] + parts[:, 1, 0]
    read = positive - (1 + d) * negative
    left = read - (1 + d / 2) * phases.recombined(parts)
    torch.testing.assert_close(left, -d / 2 * (positive + negative), rtol=1e-4, atol=1e-5)
    cheap = phases.polarity_error(x, weights.sum(1).mean(-1), torch.full((3, 4), d))
    assert float((cheap * left).sum() / left.square().sum()) == pytest.approx(1.0, abs=0.1)


def test_gradients_pass_a_count_up_to_full_scale():
    y = torch.tensor([-1.0, 0.5, 9.0], requires_grad=True)
    phases.count_up(y, 4, 7.0).sum().backward()
    assert y.grad is not None
    assert y.grad.tolist() == [1.0, 1.0, 0.0]


def test_nothing_errs_by_default():
    assert PeripheryCfg() == PeripheryCfg.ideal()
    assert not PeripheryCfg().has_columns
    assert PeripheryCfg.hermes().has_columns


@pytest.mark.parametrize(
    "change",
    [
        {"gain_spread": -0.1},
        {"gain_spread": 0.5},
        {"offset_spread": float("nan")},
        {"out_noise": -1.0},
        {"wire_ohm": float("inf")},
        {"polarity_spread": -0.1},
        {"column_reads": 1.5},
        {"column_reads": -1},
        {"partial_range": 0.0},
        {"conversion": "twice"},
    ],
)
def test_wrong_peripheries_name_field_and_value(change):
    ((name, value),) = change.items()
    with pytest.raises(ValueError, match=f"{name}.*{value}"):
        PeripheryCfg(**change)
