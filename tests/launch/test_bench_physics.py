"""`bench physics`: speeds and their ratios to the batch, and what it refuses."""

import json
import sys
from importlib.util import find_spec

import pytest

from launch.bench_physics import BenchPhysics
from tests.helpers import run_here


@pytest.mark.skipif(find_spec("jax") is None, reason="the extra [mjx] is not installed")
def test_ratios_are_those_of_the_speeds(tmp_path, capsys):
    run_here("bench", "physics", "--arms", "2", "--steps", "2", "--rounds", "1", "--out", str(tmp_path))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    speeds = metrics["steps_per_s"]
    assert list(speeds) == ["batch", "mjx"]
    assert metrics["over_batch"] == {"batch": 1.0, "mjx": pytest.approx(speeds["mjx"] / speeds["batch"])}
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path)


def test_missing_extra_ends_with_code_2(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)  # as if it were not installed
    with pytest.raises(SystemExit) as ended:
        run_here("bench", "physics", "--arms", "2", "--out", str(tmp_path / "run"))
    assert ended.value.code == 2
    assert "pip install 'phasearm[mjx]'" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("arms", 0), ("steps", -1), ("rounds", 0), ("threads", 0)])
def test_impossible_options_are_named(option, value):
    with pytest.raises(ValueError, match=f"--{option} must be at least 1"):
        BenchPhysics(**{option: value})
