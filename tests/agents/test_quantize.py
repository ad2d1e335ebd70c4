"""Stand-ins for a memory's precision: unbiased, bounded, transparent to gradients."""

import pytest
import torch

from agents.checkpoint import PRETRAINED
from agents.maml_evaluate import load_classifier
from agents.quantize import clip_to_spread, nearest_round, stochastic_round, weight_noise


def test_rounding_is_to_a_neighbour_and_unbiased(seeded):
    weights = torch.tensor([0.3, -0.71, 0.125, 0.0]).repeat(40_000, 1)
    rounded = stochastic_round(weights, 4, seeded(0))
    steps = rounded * 8
    torch.testing.assert_close(steps, steps.round())
    assert (rounded - weights).abs().max() <= 1 / 8
    # the worst variance is 1/4 of a step of 1/8: 5 x (1/16) / sqrt(40,000) = .0016
    torch.testing.assert_close(rounded.mean(0), weights[0], atol=0.0016, rtol=0)


def test_four_bits_end_at_minus_one_and_seven_eighths(seeded):
    ends = stochastic_round(torch.tensor([-3.0, 3.0]), 4, seeded(0))
    assert ends.tolist() == [-1.0, 0.875]
    assert nearest_round(torch.tensor([-3.0, 3.0, 0.3]), 4).tolist() == [-1.0, 0.875, 0.25]


def test_the_gradient_passes_as_if_nothing_were_rounded(seeded):
    weights = torch.tensor([0.3, -2.0], requires_grad=True)
    (gradient,) = torch.autograd.grad((3 * stochastic_round(weights, 4, seeded(0))).sum(), weights)
    assert gradient.tolist() == [3.0, 3.0]


def test_outliers_are_cut_at_a_multiple_of_their_lines_root_mean_square():
    # Root mean squares are 5 / sqrt(2) = 3.54 and .5: cut at 1.2 of them, 4.24 and .6, only the 4.9 is too long.
    lines = torch.tensor([[1.0, -4.9], [0.5, 0.5]])
    torch.testing.assert_close(
        clip_to_spread(lines, 1.2), torch.tensor([[1.0, -4.2434], [0.5, 0.5]]), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize(("shape", "line"), [((4, 3, 3, 3), (1, 2, 3)), ((2, 4, 30), 2)])
def test_errors_are_a_share_of_a_lines_largest_weight(seeded, shape, line):
    weights = torch.randn(shape, generator=seeded(0))
    draws = torch.stack([weight_noise(weights, 0.1, seeded(k)) - weights for k in range(1, 2001)])
    largest = weights.abs().amax(line, keepdim=True)
    # a standard deviation from 2,000 draws is known to 1 / sqrt(4,000) = 1.6 %; 5 of them
    assert (draws.std(0) / (0.1 * largest) - 1).abs().max() < 0.08


def test_the_shipped_network_of_four_bits_has_kernels_of_four_bits():
    kernels = load_classifier(PRETRAINED / "characters-4bit.safetensors").learner.net.kernel
    for kernel in kernels:
        steps = kernel.detach() * 8
        torch.testing.assert_close(steps, steps.round())
        assert 8 <= len(steps.unique()) <= 16
