"""Labels of memories: what they say, and what they refuse."""

import dataclasses
import pickle

import pytest
import torch

from agents.chip import ChipCfg
from agents.memories import Memory, Noisier, noisier, parse_memory
from pcm_backend import DEVICES, Crossbar, CrossbarCfg


@pytest.mark.parametrize(
    ("label", "wanted"),
    [
        ("float", Memory(ChipCfg(memory="float"))),
        ("hermes_2", Memory(ChipCfg())),
        ("hermes_2 bits=6", Memory(ChipCfg(bits=6))),
        ("hermes_1 age=86400 scale=core", Memory(ChipCfg(memory="hermes_1", scale="core"), rest_s=86400.0)),
        ("hermes_2 noise=1 periphery=hermes stuck_share=.01", Memory(ChipCfg(periphery="hermes", stuck_share=0.01))),
    ],
)
def test_a_label_says_what_the_chip_is(label, wanted):
    assert parse_memory(label) == wanted
    assert parse_memory(label).software == (label == "float")


@pytest.mark.parametrize(
    ("label", "named"),
    [
        ("flash", "hermes_2"),
        ("hermes_2 colour=red", "choose from .*'bits'.*'noise'"),
        ("hermes_2 bits=six", "bits takes a int"),
        ("hermes_2 age=-1", "0 or more seconds"),
        ("hermes_2 noise=-1", "factor"),
        ("hermes_2_pulses noise=2", "choose from .*hermes_2"),
        ("hermes_2 stuck_share=2", "share"),
        ("float age=5", "no options"),
    ],
)
def test_a_wrong_label_is_refused_with_what_would_be_right(label, named):
    with pytest.raises(ValueError, match=named):
        parse_memory(label)


def test_noise_is_a_factor_on_the_programming_error_and_on_nothing_else():
    double, single = DEVICES[noisier("hermes_2", 2.0)], DEVICES["hermes_2"]
    target, normal = torch.tensor([4.0, 12.0]), torch.tensor([0.5, -0.25])
    error = [device.program_with(target, normal, normal).g_us - target for device in (single, double)]
    torch.testing.assert_close(error[1], 2 * error[0])
    state = single.program_with(target, normal, normal)
    torch.testing.assert_close(double.read_moments(state, 3600.0), single.read_moments(state, 3600.0))
    assert (double.n_physical, double.g_max_us) == (single.n_physical, single.g_max_us)


def test_a_factor_of_zero_programs_exactly_and_the_name_may_come_again():
    exact = DEVICES[noisier("hermes_2", 0.0)]
    target = torch.linspace(0.0, 20.0, 5)
    torch.testing.assert_close(exact.program_with(target, torch.ones(5), torch.ones(5)).g_us, target)
    assert noisier("hermes_2", 0.0) == noisier("hermes_2", 0.0) != noisier("hermes_2", 0.5)


def test_a_crossbar_of_a_noisier_device_errs_more_by_the_factor():
    def spread(label):
        cfg = CrossbarCfg(device=parse_memory(label).chip.memory, read_noise="off", dac_bits=0, adc_bits=0)
        weights = torch.linspace(-1, 1, 400).reshape(20, 20)
        chip = Crossbar(weights, cfg, n_chips=4, generator=torch.Generator().manual_seed(3))
        return float((chip.weights() - weights).std())

    assert spread("hermes_2 noise=2") == pytest.approx(2 * spread("hermes_2"), rel=0.1)


def test_a_noisier_device_travels_to_another_process():
    fit = Noisier(DEVICES["hermes_2"].fit, 2.0)
    assert pickle.loads(pickle.dumps(fit)) == fit
    assert dataclasses.replace(fit, factor=3.0).g_max_us == fit.g_max_us
