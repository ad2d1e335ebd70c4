"""The bench says what it measured, and its contenders do the same work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from envs.tasks import Task
from launch.bench import BenchEnvs, row, run_envs, spread
from launch.contenders import RawLoop, Vector, mlp_policy

ROOT = Path(__file__).parents[2]
PLANAR = "envs:PhaseArm/PlanarTrack-v0"


def small(**options):
    return BenchEnvs(arms=6, workers=2, threads=1, hidden=8, raw_arms=3, seconds=0.1, warm_episodes=0, **options)


def bench(*arguments):
    command = [sys.executable, "-m", "launch.bench", "envs", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arm", ["planar", "scorbot"])
def test_a_short_run_writes_the_table_and_the_figures(arm, tmp_path, capsys):
    folder = run_envs(small(arm=arm, out=tmp_path / "new" / "run"))
    metrics = json.loads((folder / "metrics.json").read_text())
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == str(folder)
    assert metrics["env"] in said[0]
    assert (metrics["threads"], metrics["cpu_count"], metrics["config"]["arms"]) == (1, os.cpu_count(), 6)
    assert metrics["rounds"] >= 1
    assert metrics["load_average_at_start"] >= 0
    assert set(metrics["versions"]) == {"mujoco", "gymnasium", "numpy", "python"}
    rates, ratios = metrics["steps_per_s"], metrics["ratios"]
    for values in (*rates.values(), *ratios.values()):
        assert 0 < values["min"] <= values["median"] <= values["max"]
    for name, other in (("vector_over_raw_loop_times_threads", "raw_loop"), ("vector_over_workers", "workers")):
        # with one thread a round's ratio is a quotient of two of the rates
        assert ratios[name]["max"] <= rates["vector"]["max"] / rates[other]["min"] * (1 + 1e-9)
        assert ratios[name]["min"] >= rates["vector"]["min"] / rates[other]["max"] * (1 - 1e-9)
    assert metrics["wanted"] == {"vector_over_raw_loop_times_threads": 0.7, "vector_over_workers": 4.0}


def test_rows_show_median_least_and_most():
    assert row("speed", spread([1.0, 4.0, 2.0]), "8.2f").split() == ["speed", "2.00", "1.00", "4.00"]


def test_the_raw_loop_is_the_nominal_arm_under_the_same_actions():
    """On nominal bodies the vector environment and the raw loop are one motion."""
    env = gym.make_vec(PLANAR, num_envs=2, nthread=1)
    env.reset(seed=0, options={"task": Task.nominal("planar")})
    played = Vector(env, mlp_policy(12, 2, 64, seed=0), seed=3).play()
    assert played.action.shape == (100, 2, 2)
    assert np.abs(played.action).max() <= 1.0
    raw = RawLoop(PLANAR)
    raw.play(played, 2)  # leaves the second arm where its episode ended
    twin = gym.make_vec(PLANAR, num_envs=2, nthread=1)
    start = twin.reset(seed=3, options={"task": Task.nominal("planar")})[0]
    np.testing.assert_array_equal(start, played.start)
    for action in played.action:
        *_, info = twin.step(action)
    ended = info["final_obs"][1][:2]
    np.testing.assert_allclose(raw._data.qpos, ended, atol=1e-3)  # a start in float32, an encoder of .0004 rad


def test_the_policy_is_two_tanh_layers_in_float32():
    one, same, other = (mlp_policy(3, 2, 64, seed)(np.ones((5, 3), np.float32)) for seed in (0, 0, 1))
    assert one.shape == (5, 2)
    assert one.dtype == np.float32
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(mlp_policy(3, 2, 8, 0)(np.zeros((1, 3), np.float32)), 0.0)  # no biases


def test_wrong_input_ends_with_code_2(tmp_path):
    taken = tmp_path / "file"
    taken.write_text("")
    for arguments, named in (
        (["--env", "envs:PhaseArm/Fly-v0"], "'envs:PhaseArm/PlanarTrack-v0'"),
        (["--out", str(taken)], "is a file; name a folder"),
    ):
        ended = bench(*arguments)
        assert ended.returncode == 2
        assert named in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
    ended = bench("--arms", "0")
    assert ended.returncode == 2
    assert "--arms must be at least 1, not 0" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("option", "value"), [("threads", 0), ("workers", -1), ("seconds", 0.0), ("warm_episodes", -1)]
)
def test_impossible_options_are_named(option, value):
    with pytest.raises(ValueError, match=f"--{option.replace('_', '-')}"):
        BenchEnvs(**{option: value})
