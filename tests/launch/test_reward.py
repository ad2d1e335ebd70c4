"""The reward learner from the command line: trained, stopped and gone on with, evaluated on chips."""

import json

import numpy as np
import pytest

from tests.helpers import options, run_here

REACH = "envs:PhaseArm/PlanarReach-v0"
TINY = options({"env": REACH, "trials": 2, "env-steps": 800, "hidden": 4, "features": 3, "gates": 2})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reward") / "run"
    run_here("train", "dynamics", "--learner", "reward", "--out", str(folder), *TINY)
    return folder


def test_a_run_leaves_a_learner_and_a_line_a_round(trained):
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert [line["env_steps"] for line in lines] == [400, 800]
    assert all(np.shape(line["error"]) == (4,) for line in lines)
    assert (trained / "learner.safetensors").is_file()


def test_a_folder_with_a_run_is_not_overwritten(trained, capsys):
    with pytest.raises(SystemExit) as end:
        run_here("train", "dynamics", "--learner", "reward", "--out", str(trained), *TINY)
    assert end.value.code == 2
    assert "--resume" in capsys.readouterr().err


def test_it_is_for_reaching_alone(capsys):
    with pytest.raises(SystemExit) as end:
        run_here("train", "dynamics", "--learner", "reward", "--env", "envs:PhaseArm/PlanarTrack-v0")
    assert end.value.code == 2
    assert "Reach" in capsys.readouterr().err


def test_its_evaluation_has_an_entry_an_episode(trained, tmp_path):
    arguments = options({"env": REACH, "chips": 1, "tasks": 2, "seed": 3, "out": tmp_path / "evaluated"})
    run_here("evaluate", "dynamics", "--checkpoint", str(trained / "learner.safetensors"), *arguments)
    metrics = json.loads((tmp_path / "evaluated" / "metrics.json").read_text())
    assert (metrics["learner"], metrics["meta_seeds"], metrics["env_steps"]) == ("reward", [0], [800])
    assert metrics["episodes"] == 4
    for figures in (metrics["bands"]["in_range"], metrics["software"]["bands"]["in_range"]):
        for name in ("tip_m", "devices_written", "energy_j", "nominal_tip_m", "oracle_tip_m", "ppo_tip_m", "rl2_tip_m"):
            assert np.shape(figures[name]) == (4,)
        assert np.shape(figures["tip_m_ci95"]) == (4, 2)
    written = metrics["bands"]["in_range"]["devices_written"]
    assert written[0] == 0
    assert min(written[1:]) > 0
