"""`launch.bench trajectory` with tiny numbers: its metrics agree with one another."""

import json

import pytest

from launch.bench_trajectory import timed
from tests.helpers import run_here

KEYS = {
    *("scenario", "train_iteration_s", "evaluate_30_s", "batch", "steps", "n_trainee", "n_lsg", "ratio_to_oracle"),
}


def test_metrics(tmp_path):
    tiny = [
        "--batch",
        "2",
        "--steps",
        "20",
        "--targets",
        "2",
        "--oracle-batch",
        "1",
        "--repeats",
        "1",
        "--threads",
        "1",
    ]
    run_here("bench", "trajectory", *tiny, "--out", str(tmp_path))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert set(metrics) >= KEYS
    assert (metrics["batch"], metrics["steps"], metrics["n_trainee"], metrics["n_lsg"]) == (2, 20, 250, 800)
    wanted = metrics["oracle_iteration_s"] / (metrics["train_iteration_s"] / 2)
    assert metrics["ratio_to_oracle"] == pytest.approx(wanted)


def test_the_first_run_is_not_counted():
    calls = []
    found = timed(2, lambda: calls.append(sum(range(10**6 if not calls else 10))))
    assert len(calls) == 3
    assert found.wall_s < 1e-3


def test_wrong_input(capsys):
    with pytest.raises(SystemExit) as ended:
        run_here("bench", "trajectory", "--batch", "0")
    assert ended.value.code == 2
    assert "got 0" in " ".join(capsys.readouterr().err.split())
