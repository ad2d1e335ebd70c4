"""Arrays that were measured: taken over as they are, then aged and written like any other."""

import pytest
import torch

from pcm_backend import DEVICES, Crossbar, CrossbarCfg, FaultCfg

PLUS_US = torch.tensor([[12.0, 0.0, 3.5], [0.1, 20.0, 7.0]])
MINUS_US = torch.tensor([[0.2, 5.0, 3.0], [9.0, 0.0, 22.0]])  # 22 lies above what hermes_2 is programmed to


def _taken(seeded, n_chips=2, age_s=0.0, plus_us=PLUS_US, minus_us=MINUS_US, **cfg):
    made = CrossbarCfg(**cfg)
    return Crossbar.from_conductances(plus_us, minus_us, made, n_chips=n_chips, generator=seeded(), age_s=age_s)


@pytest.mark.parametrize("device", sorted({*DEVICES} - {"hermes_1", "hermes_1_pulses"}))
def test_what_was_measured_is_what_conducts_and_nothing_was_pulsed(device, seeded):
    xbar = _taken(seeded, device=device, age_s=86400.0)
    torch.testing.assert_close(xbar.conductances_us()[:, 0, 0], PLUS_US.expand(2, 2, 3), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(xbar.conductances_us()[:, 0, 1], MINUS_US.expand(2, 2, 3), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(xbar.weights(), (PLUS_US - MINUS_US).expand(2, 2, 3), rtol=1e-6, atol=2e-6)  # in uS
    assert bool((xbar.ages_s() == 86400.0).all())
    assert not xbar.ledger.pulses.any()
    assert not xbar.ledger.devices.any()
    assert xbar.ledger.calibration_products.tolist() == [12.0, 12.0]  # the reference: 3 rows, 4 reads


def test_a_weight_is_the_difference_in_units_of_the_range(seeded):
    xbar = _taken(seeded, device="ideal", w_range=(2.0, 1.0), dac_bits=0, adc_bits=0)
    weights = (PLUS_US - MINUS_US) / 20.7 * torch.tensor([[2.0], [1.0]])
    torch.testing.assert_close(xbar.weights()[1], weights)
    x = torch.randn(2, 4, 3, generator=seeded(1))
    torch.testing.assert_close(xbar(x), x @ weights.T)


def test_it_drifts_from_its_age_on_is_written_and_resumes(seeded):
    young, old = _taken(seeded), _taken(seeded, age_s=86400.0)
    for each in (young, old):
        each.advance(86400.0, calibrate=False)
    # hermes_2 begins its law at 300 s: a day is log 289 for the young, from one day to two is log 2 for the old
    assert (
        float(young.conductances_us().sum())
        < float(old.conductances_us().sum())
        < 2 * float((PLUS_US + MINUS_US).sum())
    )
    report = old.write(torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    assert report.increments.tolist() == [1.0, 1.0]
    other = _taken(seeded, minus_us=MINUS_US * 0.5)
    other.load_state_dict(old.state_dict())
    x = torch.ones(2, 1, 3)
    assert torch.equal(other(x), old(x))


def test_both_devices_of_a_pulsed_conductance_are_one_full_or_off_and_one_between(seeded):
    state = _taken(seeded, device="hermes_2_pulses", n_chips=1).state_dict()["pairs"]
    full_us = 10.35
    above = state["g_us"] > full_us
    torch.testing.assert_close(state["g_us"] - state["trimmed_us"], torch.where(above, full_us, 0.0))


def test_faults_cut_what_was_measured(seeded):
    xbar = _taken(seeded, faults=FaultCfg(dead_columns=1), n_chips=4)
    dead = (xbar.conductances_us()[:, 0] == 0).all(-1).all(1)  # (K, lines)
    assert dead.sum(1).tolist() == [1, 1, 1, 1]
    alive = xbar.conductances_us()[:, 0, 0][~dead]
    assert all(any(torch.equal(line, measured) for measured in PLUS_US) for line in alive)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"plus_us": PLUS_US + 10.0}, "g_plus_us must lie in 0 to 25.875 uS, got values from 10 to 30"),
        ({"minus_us": -MINUS_US}, "g_minus_us must lie in 0"),
        ({"minus_us": MINUS_US * torch.nan}, "g_minus_us must lie in 0"),
        ({"minus_us": MINUS_US[:, :2]}, r"\(2, 3\), g_minus_us \(2, 2\)"),
        ({"plus_us": PLUS_US.expand(3, 2, 3)}, r"\(out, in\) or \(2, out, in\), got \(3, 2, 3\)"),
        ({"plus_us": PLUS_US.tolist()}, "g_plus_us must be a torch.Tensor, got a list"),
        ({"slices": 2}, "slices=1.*got slices=2"),
        ({"age_s": -1.0}, "age_s must be zero or more and finite, got -1.0"),
    ],
)
def test_what_cannot_have_been_measured_is_named(wrong, words, seeded):
    with pytest.raises(ValueError, match=words):
        _taken(seeded, **wrong)
