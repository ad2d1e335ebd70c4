"""`launch.evaluate trajectory` with tiny numbers."""

import json

import numpy as np
import pytest

from agents.eprop_weights import load_trained
from tests.helpers import random_spiking_weights, run_here

KEYS = {
    *("scenario", "memory", "scale", "chips", "seed", "targets", "tip_rmse_cm", "tip_rmse_cm_std", "tip_rmse_cm_ci95"),
    *("before_tip_rmse_cm", "velocity_rmse_rad_s", "weights_written", "devices_written", "energy_j"),
    "mujoco_tip_rmse_cm",
}


def evaluate(folder, *arguments):
    run_here("evaluate", "trajectory", "--chips", "1", "--targets", "2", "--out", str(folder), *arguments)
    return json.loads((folder / "metrics.json").read_text())


def test_what_programs_rely_on_is_there(tmp_path, capsys):
    metrics = evaluate(tmp_path / "run", "--seed", "1001", "--scale", "core", "--write", "top_k", "--share", "0.05")
    assert set(metrics) >= KEYS
    wanted = {"scenario": "trajectory", "memory": "hermes_2", "scale": "core", "chips": 1, "seed": 1001, "targets": 2}
    assert {name: metrics[name] for name in wanted} == wanted
    assert len(metrics["velocity_rmse_rad_s"]) == 2
    assert metrics["tip_rmse_cm_ci95"][0] <= metrics["tip_rmse_cm"] <= metrics["tip_rmse_cm_ci95"][1]
    assert metrics["weights_written"] == pytest.approx(0.05 * 63750, rel=0.001)
    assert metrics["tip_rmse_cm"] < metrics["before_tip_rmse_cm"]
    assert -1.2 < metrics["mujoco_growth_cm"] < 1.2
    assert list(metrics["retention_tip_rmse_cm"]) == ["1 hour", "1 day", "1 month"]
    assert "month after the write" in capsys.readouterr().out


def test_plain_arrays_do_what_their_checkpoint_does(tmp_path):
    trained = load_trained()
    np.savez(tmp_path / "own.npz", **{name: w.numpy() for name, w in trained.weights._asdict().items()})
    networks = trained.networks
    given = ["--coding", networks.coding, "--inner-rate", str(networks.inner_rate)]
    given += ["--clock-gain", str(networks.clock_gain)]
    float_ = ["--memory", "float", "--seed", "1001", "--write", "all", "--playback", "0"]
    one = evaluate(tmp_path / "a", "--weights", str(tmp_path / "own.npz"), *given, *float_)
    assert one["tip_rmse_cm"] == pytest.approx(evaluate(tmp_path / "b", *float_)["tip_rmse_cm"])
    assert one["energy_j"] == 0.0


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda whole: whole[: len(whole) // 2], ["half.npz", "npz"]),
        (lambda whole: b"", ["half.npz", "npz"]),
        (lambda whole: b"\x80\x04N.", ["half.npz", "pickle"]),
    ],
)
def test_spoilt_weights_are_named(spoil, words, tmp_path, capsys):
    (tmp_path / "half.npz").write_bytes(spoil(random_spiking_weights().read_bytes()))
    with pytest.raises(SystemExit) as ended:
        evaluate(tmp_path / "run", "--weights", str(tmp_path / "half.npz"))
    assert ended.value.code == 2
    text = capsys.readouterr().err
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--memory", "flash"], ["flash", "hermes_2"]),
        (["--bits", "1"], ["bits", "got 1", "2 to 16"]),
        (["--chips", "0"], ["chips", "got 0"]),
        (["--tasks", "0"], ["targets", "got 0"]),
        (["--weights", "README.md"], ["README.md", "npz"]),
        (["--weights", "none.npz"], ["none.npz", "W_rec_lsg"]),
        (["--off-device", "loud"], ["loud", "noisy", "ideal"]),
        (["--grid", "0"], ["grid", "got 0"]),
        (["--share", "2"], ["share", "got 2"]),
        (["--age-s", "nan"], ["age_s", "nan"]),
        (["--hold-s", "0.007"], ["hold_s", "got 0.007", "0.005"]),
        (["--playback", "-1"], ["playback", "got -1"]),
        (["--weights", "a.npz", "--checkpoint", "b.safetensors"], ["a.npz", "b.safetensors", "choose one"]),
    ],
)
def test_wrong_input_ends_with_a_word_on_it(arguments, words, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run_here("evaluate", "trajectory", "--out", str(tmp_path / "run"), *arguments)
    assert ended.value.code == 2
    text = " ".join(capsys.readouterr().err.split())
    assert all(word in text for word in words), text
    assert not (tmp_path / "run").exists()
