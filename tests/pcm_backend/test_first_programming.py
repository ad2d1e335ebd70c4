"""Max-SET-Fill against the fit of whole cells, and gradient descent on the error of products."""

import pytest
import torch

from pcm_backend import DEVICES
from pcm_backend.filling import fill, fill_targets, half_of
from pcm_backend.gdp import GdpCfg, descend, weight_gradient, worth_writing


def test_at_most_one_device_stands_in_between():
    first, second = fill_targets(torch.tensor([0.0, 4.0, 10.0, 13.0, 20.0]), 10.0)
    assert first.tolist() == [0.0, 4.0, 10.0, 10.0, 10.0]
    assert second.tolist() == [0.0, 0.0, 0.0, 3.0, 10.0]


@pytest.mark.parametrize(("ghat", "tolerance"), [(0.05, 0.03), (0.2, 0.05), (0.4, 0.03), (0.5, 0.04), (0.8, 0.03)])
def test_two_devices_give_the_spread_that_the_cell_shows(ghat, tolerance, seeded):
    """The fit of one device, filled up, against the fit of both; sampling error of 40,000: .4 %."""
    target, generator = torch.full((40_000,), ghat * 20.7), seeded()
    state = fill(target, half_of("hermes_2"), lambda: torch.randn(40_000, generator=generator))
    wanted = float(DEVICES["hermes_2"].fit.programming_sigma_us(torch.tensor([ghat])))
    assert float((state.g_us - target).std()) == pytest.approx(wanted, rel=tolerance)
    assert abs(float((state.g_us - target).mean())) < 0.08


def test_ideal_devices_fill_exactly(seeded):
    target = torch.rand(100, generator=seeded()) * 20.7
    torch.testing.assert_close(fill(target, half_of("ideal"), lambda: torch.ones(100)).g_us, target)


def test_one_device_cannot_be_filled_twice():
    with pytest.raises(ValueError, match=r"max_set_fill.*hermes_2.*pcm_like"):
        half_of("pcm_like")


def test_gradient_by_hand():
    """Two orthogonal inputs of mean square 1: the outer product of error and input, averaged, is the missing weight."""
    x = torch.tensor([[[1.0, 1.0], [1.0, -1.0]]])
    missing = torch.tensor([[[0.5, -0.25]]])
    error = torch.bmm(x, missing.transpose(1, 2))  # .25 and .75
    assert error.flatten().tolist() == [0.25, 0.75]
    assert weight_gradient(x, error).flatten().tolist() == pytest.approx([0.5, -0.25])


def test_what_is_not_worth_a_write():
    found = worth_writing(torch.tensor([0.3, -0.3, 0.1]), torch.tensor([0.2, 0.4, 0.2]), 1.0)
    assert found.tolist() == pytest.approx([0.3, 0.0, 0.0])


def test_descent_leaves_small_errors(seeded):
    """A memory whose write errs by a normal number: one try leaves deviation 1, twelve rounds leave half of it.

    Were the gradient exact, what stays would be a normal number cut at 1: deviation .54.
    """
    g = seeded()
    table = torch.randn(2, 20, 30, generator=g) * 5
    chip = table + torch.randn(table.shape, generator=g)

    def write(delta):
        chip.add_((delta + torch.randn(table.shape, generator=g)) * (delta != 0))

    descend(
        table,
        GdpCfg(rounds=12, inputs_per_row=100.0),
        inputs=lambda n: torch.randn(2, n, 30, generator=g),
        read=lambda x: torch.bmm(x, chip.transpose(1, 2)),
        write=write,
        sigma=lambda: torch.ones_like(table),
    )
    assert float((chip - table).std()) == pytest.approx(0.54, abs=0.04)


@pytest.mark.parametrize(("options", "word"), [((0,), "rounds"), ((1, 0.0), "inputs_per_row"), ((1, 1.0, -1.0), "thr")])
def test_wrong_values_are_named(options, word):
    with pytest.raises(ValueError, match=word):
        GdpCfg(*options)
