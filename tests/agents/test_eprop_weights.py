"""Weights of the spiking arm as files: what is shipped learns in one shot and only from its own signals."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from agents.checkpoint import save
from agents.eprop import (
    EpropCfg,
    Plastic,
    Weights,
    increments,
    learning_signals,
    path,
    run_trainee,
    tip_rmse_m,
    velocities,
)
from agents.eprop import draw_weights as draw
from agents.eprop_lesson import lesson
from agents.eprop_weights import SHIPPED, load_arrays, load_trained
from envs.trajectories import draw_targets


def test_the_shipped_network_learns_in_one_shot_and_from_its_own_signals_alone():
    trained = load_trained()
    cfg, weights = trained.networks, trained.weights
    task = lesson(draw_targets(24, 1001), cfg.coding, weights.W_in)
    with torch.no_grad():
        first = run_trainee(Plastic(weights.W_in[None], weights.W_rec[None]), task.clock, cfg)
        signals = learning_signals(weights, task.clock, task.code, cfg)[0]

        def error_cm(told):
            step = increments(first, told, task.clock, cfg)
            second = run_trainee(Plastic(weights.W_in + step.w_in, weights.W_rec + step.w_rec), task.clock, cfg)
            return 100 * tip_rmse_m(path(velocities(second.spikes, weights.W_out, cfg)), task.tip_m).mean().item()

        assert error_cm(signals) < 3.5
        assert error_cm(torch.zeros_like(signals)) > 25
        assert error_cm(signals.roll(1, 1)) > 25


def test_what_is_shipped_says_how_it_was_made_and_is_small():
    header = load_trained().header
    assert header["iteration"] > 0
    assert header["hours"] > 0
    assert header["parts"][0]["from"] == 0
    assert SHIPPED.stat().st_size < 5_000_000


@pytest.fixture
def arrays():
    return {n: w.contiguous() for n, w in draw(EpropCfg(), torch.Generator().manual_seed(0))._asdict().items()}


def test_plain_arrays_are_read_from_both_kinds_of_file(tmp_path, arrays):
    arrays["W_rec"] = arrays["W_rec"] + torch.eye(250)
    np.savez(tmp_path / "w.npz", **{name: array.numpy() for name, array in arrays.items()})
    save_file(arrays, tmp_path / "w.safetensors")
    for name in ("w.npz", "w.safetensors"):
        weights = load_arrays(tmp_path / name)
        assert not weights.W_rec.diagonal().any()
        for field in set(Weights._fields) - {"W_rec"}:
            assert torch.equal(getattr(weights, field), arrays[field])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: a.pop("W_out"), "lacks 'W_out'; needed are"),
        (lambda a: a.update(W_out=torch.zeros(3, 2)), r"W_out in .* must have shape \(250, 2\), got \(3, 2\)"),
        (lambda a: a.update(W_in=torch.full((5, 250), float("nan"))), "W_in in .* must be finite"),
    ],
)
def test_spoilt_arrays_are_named(tmp_path, arrays, spoil, message):
    spoil(arrays)
    save_file(arrays, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=message):
        load_arrays(tmp_path / "w.safetensors")


def test_no_pickle_is_opened(tmp_path):
    np.savez(tmp_path / "w.npz", W_in=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="neither npz nor safetensors of plain arrays"):
        load_arrays(tmp_path / "w.npz")
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(ValueError, match="neither npz nor safetensors of plain arrays"):
        load_arrays(tmp_path / "text.safetensors")
    with pytest.raises(FileNotFoundError, match="no weights at"):
        load_arrays(tmp_path / "none.npz")


def test_checkpoints_of_others_are_refused(tmp_path):
    save(tmp_path / "delta.safetensors", {"x": torch.zeros(1)}, {"learner": "delta"})
    with pytest.raises(ValueError, match=r"is of learner 'delta'; choose from \['eprop'\]"):
        load_trained(tmp_path / "delta.safetensors")
    save(tmp_path / "old.safetensors", {"x": torch.zeros(1)}, {"learner": "eprop"})
    with pytest.raises(ValueError, match="another version"):
        load_trained(tmp_path / "old.safetensors")
