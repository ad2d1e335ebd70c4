"""`bench characters`: the two iterations are one and the same step, and both times are printed."""

import json

import pytest
import torch

from agents.maml import MamlLearner
from launch.bench_characters import BenchCharacters, draw, plain_iteration, shared_iteration
from tests.helpers import options, run_here

SMALL = {"tasks": 2, "ways": 3, "shots": 1, "queries": 2}


def test_both_take_the_same_step_where_batch_norm_sees_the_same():
    # One task, as many queries as shots: nothing else shares the batch, but support and queries still part there.
    cfg = BenchCharacters(tasks=1, ways=2, shots=1, queries=1)
    pictures = draw(cfg)
    pictures[:, :, 1] = pictures[:, :, 0]  # equal drawings have equal statistics, together or apart
    found = []
    for iteration in (shared_iteration, plain_iteration):
        learner = MamlLearner()
        learner.net.draw(torch.Generator().manual_seed(0))
        iteration(learner, pictures, cfg.shots)()
        found.append([parameter.grad for parameter in learner.parameters()])
    for shared, plain in zip(*found, strict=True):
        assert plain.abs().max() > 0
        torch.testing.assert_close(shared, plain, rtol=2e-3, atol=1e-5)


def test_ratio_is_that_of_the_times(tmp_path, capsys):
    run_here("bench", "characters", *options(SMALL | {"rounds": 1}), "--out", str(tmp_path))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    times = metrics["iteration_cpu_s"]
    assert metrics["ratio"] == pytest.approx(times["shared"] / times["plain"])
    out = capsys.readouterr().out
    assert "torch.func" in out
    assert out.splitlines()[-1] == str(tmp_path)


def test_no_tasks_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run_here("bench", "characters", "--tasks", "0", "--out", str(tmp_path / "run"))
    assert ended.value.code == 2
    assert "must be at least 1, not 0" in capsys.readouterr().err
