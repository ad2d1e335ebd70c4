"""The trainee on chips: what it is without errors, what its errors are, and that it learns there in one shot."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.eprop import EpropCfg, Plastic, draw_weights, run_trainee
from agents.eprop_chip import TraineeChipCfg, deploy_trainee, largest_currents
from agents.eprop_evaluate import TrajectoryCfg, evaluate
from agents.eprop_noise import WriteCfg
from agents.eprop_weights import load_arrays, load_trained
from agents.spiking import NeuronCfg, run_neurons
from agents.spiking_read import run_read
from envs.trajectories import clock_spikes

PUBLISHED = Path(os.environ.get("PHASEARM_PUBLISHED_TRAJECTORY", "shared/data/published_trajectory_weights.npz"))
ROUNDED = WriteCfg("rounded", 1 / 18)  # the grid that the shipped arm was meta-trained with, last
PERFECT = TraineeChipCfg(memory="ideal", bits=0, read_noise="off", gains=False, write=ROUNDED)


@pytest.fixture(scope="module")
def trained():
    return load_trained()


@pytest.mark.parametrize("n_adaptive", [0, 12])
def test_neurons_read_step_by_step_are_those_run_at_once(n_adaptive, seeded):
    cfg = NeuronCfg(n=30, threshold=0.6, n_adaptive=n_adaptive)
    current = 0.3 * torch.randn(80, 1, 7, 30, generator=seeded(1)).cumsum(0).sin()
    w_rec = 0.2 * torch.randn(1, 30, 30, generator=seeded(2))
    spikes, slope = run_read(lambda t, z: current[t, 0] + z @ w_rec[0], 80, (7,), cfg)
    wanted = run_neurons(current, w_rec, cfg)
    assert float(wanted[0].mean()) > 0.01
    torch.testing.assert_close(spikes, wanted[0].squeeze(1))
    torch.testing.assert_close(slope, wanted[1].squeeze(1), rtol=1e-4, atol=1e-4)


def test_an_ideal_chip_runs_as_software(trained, seeded):
    weights, cfg, _ = trained
    clock = torch.from_numpy(clock_spikes())
    chips = deploy_trainee(weights, cfg, PERFECT, 2, 0)
    wanted = run_trainee(Plastic(weights.W_in[None], weights.W_rec[None]), clock, cfg)
    first = chips.run(clock, 3)
    assert first.spikes.shape == (249, 6, 250)
    assert float((first.spikes - wanted.spikes).abs().mean()) < 1e-4  # a sum in another order may shift a spike
    twins = chips.copies(2)
    step = Plastic(torch.zeros(4, 5, 250), torch.zeros(4, 250, 250))
    step.w_rec[3, 7, 9] = 0.05
    report = twins.write(step)
    assert report.devices.bool().tolist() == [False, False, False, True]
    moved = twins.weights().w_rec - chips.copies(2).weights().w_rec
    assert moved.abs().gt(1e-6).nonzero().tolist() == [[3, 7, 9]]
    assert float(moved[3, 7, 9]) == pytest.approx(0.05, rel=1e-3)


def test_gains_bring_lines_back_to_what_was_meant(trained):
    """The devices of the other sign, and the errors of all, leave every line with a gain of its own."""
    weights, cfg, _ = trained
    apart = []
    for gains in (False, True):
        chip = TraineeChipCfg(read_noise="off", bits=0, gains=gains)
        held = torch.cat(deploy_trainee(weights, cfg, chip, 2, 0).weights(), 1)
        meant = torch.cat([weights.W_in, weights.W_rec])
        apart.append(float((held - meant).square().mean()))
    assert apart[1] < apart[0]


def test_full_scale_of_the_converters_holds_what_flows(trained):
    largest = largest_currents(trained.weights, trained.networks)
    assert largest.shape == (250,)
    assert bool((largest >= trained.networks.clock_gain * trained.weights.W_in.abs().amax(0) * 0.5).all())


@pytest.fixture(scope="module")
def on_chips(trained):
    cfg = TrajectoryCfg(2, 6, 1000, TraineeChipCfg(write=ROUNDED), retention=False)
    return evaluate(trained.weights, trained.networks, cfg)[1]


def test_one_write_on_a_chip_is_enough_and_nothing_else_will_do(on_chips):
    assert on_chips.tip_cm.shape == (2, 6)
    assert on_chips.tip_cm.mean() < 6.0
    assert on_chips.before_cm.mean() > 25.0
    assert on_chips.shuffled_cm.mean() > 25.0
    assert np.isnan(on_chips.aged_cm).all()
    assert 0 < on_chips.weights_written.mean() < 6375  # a tenth of 63,750
    assert (on_chips.devices_written > 0).all()
    # 498 products of 52.8 nJ in both runs: the rest is the write
    np.testing.assert_allclose(on_chips.energy_j - on_chips.write_j, 498 * 52.8e-9, rtol=1e-6)


def test_a_chip_does_the_same_whatever_other_chips_do(trained, on_chips):
    cfg = TrajectoryCfg(1, 6, 1000, TraineeChipCfg(write=ROUNDED), shuffled=False, retention=False)
    alone = evaluate(trained.weights, trained.networks, cfg)[1]
    np.testing.assert_allclose(alone.before_cm[0], on_chips.before_cm[0], rtol=1e-4)
    np.testing.assert_allclose(alone.tip_cm[0], on_chips.tip_cm[0], rtol=1e-4)


def test_software_is_one_chip_without_a_bill(trained):
    cfg = TrajectoryCfg(5, 6, 1000, TraineeChipCfg(memory="float", write=ROUNDED))
    found = evaluate(trained.weights, trained.networks, cfg)[1]
    assert found.tip_cm.shape == (1, 6)
    assert found.tip_cm.mean() < 4.0
    assert found.shuffled_cm.mean() > 25.0
    assert not found.devices_written.any()
    assert not found.energy_j.any()
    perfect = TrajectoryCfg(1, 6, 1000, PERFECT, shuffled=False)
    ideal = evaluate(trained.weights, trained.networks, perfect)[1]
    assert np.median(np.abs(ideal.tip_cm - found.tip_cm)) < 0.5
    assert not np.isnan(ideal.aged_cm).any()


def test_the_readout_and_the_generator_fit_further_cores(seeded):
    cfg = dataclasses.replace(
        EpropCfg(), trainee=NeuronCfg(n=20, threshold=0.6), lsg=NeuronCfg(n=30, threshold=1.3, n_adaptive=9)
    )
    weights = draw_weights(cfg, seeded())
    ideal = dataclasses.replace(PERFECT, generator="chip", write=WriteCfg("all"))
    found = [
        evaluate(weights, cfg, TrajectoryCfg(1, 2, 0, chip, shuffled=False, retention=False))[1]
        for chip in (dataclasses.replace(ideal, generator="software"), ideal)
    ]
    np.testing.assert_allclose(found[1].tip_cm, found[0].tip_cm, atol=0.5)
    assert (found[1].energy_j > found[0].energy_j).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"memory": "flash"}, "flash.*hermes_2"),
        ({"bits": 1}, "bits must be 0.*got 1"),
        ({"age_s": -1.0}, "age_s.*got -1"),
        ({"generator": "cloud"}, "cloud.*software"),
        ({"read_noise": "never"}, "never.*frozen"),
        ({"output_headroom": 0.0}, "output_headroom"),
    ],
)
def test_what_cannot_be_is_named(options, words):
    with pytest.raises(ValueError, match=words):
        TraineeChipCfg(**options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "low", "high"),
    [
        ({"scale": "core", "off_device": "ideal", "read_noise": "off", "bits": 0}, 4.7, 7.5),
        ({"scale": "column", "off_device": "ideal", "read_noise": "off", "bits": 0}, 3.2, 4.6),
        ({"scale": "core"}, 6.0, 11.0),
        ({"scale": "column"}, 3.5, 6.5),
    ],
    ids=str,
)
def test_the_released_network_errs_on_chips_as_it_did_on_the_real_one(options, low, high):
    """Its paper measured 6.69 +- 3.40 cm on four trajectories, with how the weights were scaled left open."""
    if not PUBLISHED.is_file():
        pytest.skip(f"no released weights at {PUBLISHED}; PHASEARM_PUBLISHED_TRAJECTORY names another place")
    cfg = TrajectoryCfg(4, 48, 1000, TraineeChipCfg(**options), shuffled=False, retention=False)
    error_cm = evaluate(load_arrays(PUBLISHED), EpropCfg(), cfg)[1].tip_cm
    assert low < error_cm.mean() < high
