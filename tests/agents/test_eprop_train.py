"""Meta-training of the spiking arm: it learns, resumes to the same bytes, and leaves no neuron its own neighbour."""

import dataclasses

import pytest
import torch

from agents.checkpoint import digest, load, save
from agents.eprop import Weights
from agents.eprop_lesson import ChipCfg
from agents.eprop_noise import WriteCfg
from agents.eprop_train import EpropTrainCfg, EpropTrainer, export
from tests.helpers import refuses_unchanged

SMALL = EpropTrainCfg(
    iterations=4, batch=4, inner_rate=5e-4, coding="motion", clock_gain=4.0, clip_in=0.25, clip_rec=0.25, threads=1
)
NOISY = ChipCfg(memory="hermes_2", chips=2, read_noise=True, write=WriteCfg("rounded", grid=1 / 32))


def trained(cfg, n):
    trainer = EpropTrainer(cfg)
    lines = [trainer.run_iteration() for _ in range(n)]
    return trainer, lines[-1]


@pytest.mark.parametrize("chip", [ChipCfg(), NOISY], ids=["float", "hermes_2"])
def test_a_resumed_run_ends_with_the_same_bytes(tmp_path, chip):
    cfg = dataclasses.replace(SMALL, chip=chip)
    whole, line = trained(cfg, 3)
    half, _ = trained(cfg, 2)
    half.save(tmp_path / "half.safetensors")
    rest = EpropTrainer(cfg)
    rest.resume(tmp_path / "half.safetensors")
    assert rest.run_iteration() == line
    for name in ("weights", "mean"):
        assert digest(getattr(rest, name)._asdict()) == digest(getattr(whole, name)._asdict())
    assert rest.parts == whole.parts


def test_a_part_with_other_settings_is_written_down(tmp_path):
    first, _ = trained(SMALL, 1)
    first.save(tmp_path / "first.safetensors")
    noisy = EpropTrainer(dataclasses.replace(SMALL, chip=NOISY, rate=5e-4, batch=6))
    noisy.resume(tmp_path / "first.safetensors")
    line = noisy.run_iteration()
    assert [(part["from"], part["rate"], part["batch"]) for part in noisy.parts] == [(0, 1.5e-3, 4), (1, 5e-4, 6)]
    assert line["written"] < 0.2
    export(tmp_path / "learner.safetensors", noisy)
    tensors, header = load(tmp_path / "learner.safetensors")
    assert set(tensors) == {f"learner.{name}" for name in Weights._fields}
    assert header["parts"] == noisy.parts
    assert header["iteration"] == 2


def test_weights_stay_in_range_and_off_the_diagonal():
    trainer, _ = trained(SMALL, 2)
    weights = trainer.weights
    assert weights.W_rec.abs().max() <= 0.25
    assert weights.W_in.abs().max() <= 0.25
    assert not weights.W_rec.diagonal().any()
    assert not weights.W_rec_lsg.diagonal().any()
    assert not torch.equal(weights.W_out, EpropTrainer(SMALL).weights.W_out)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"rate": 0.0}, "rate must be above 0, got 0.0"),
        ({"average": 1.0}, "average must be 0 or more and below 1, got 1.0"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"batch": 5, "chip": NOISY}, "batch must be a multiple of chips, got 5 and 2"),
    ],
)
def test_what_cannot_run_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **change)


def test_other_checkpoints_are_refused(tmp_path):
    trainer, _ = trained(dataclasses.replace(SMALL, coding="bumps"), 1)
    trainer.save(tmp_path / "bumps.safetensors")
    with pytest.raises(ValueError, match="resume with the same networks"):
        EpropTrainer(SMALL).resume(tmp_path / "bumps.safetensors")
    save(tmp_path / "delta.safetensors", {"x": torch.zeros(1)}, {"learner": "delta"})
    with pytest.raises(ValueError, match=r"is of learner 'delta'; choose from \['eprop'\]"):
        EpropTrainer(SMALL).resume(tmp_path / "delta.safetensors")


@pytest.mark.slow
def test_it_learns_from_random_weights():
    # 60 iterations of 24 targets: from about 50 cm to under 12 cm, a minute of one core
    trainer, _ = trained(dataclasses.replace(SMALL, batch=24, grad_norm=1.0), 59)
    assert trainer.run_iteration()["tip_rmse_cm"] < 15.0


def test_a_spoilt_checkpoint_changes_nothing(tmp_path):
    first, _ = trained(SMALL, 1)
    first.save(tmp_path / "first.safetensors")
    refuses_unchanged(EpropTrainer(SMALL), tmp_path / "first.safetensors")
