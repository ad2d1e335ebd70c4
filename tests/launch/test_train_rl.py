"""PPO and RL2 from the command line: a folder that resumes, a policy that is read without the libraries' files."""

import json

import pytest

from agents.baselines.actors import rebuild
from agents.checkpoint import load
from tests.helpers import PLANAR, log_lines, options, run_here

TINY = {"env": PLANAR, "arms": 2, "leg": 1, "epochs": 1, "minibatches": 1, "hidden": 4, "rate-left": 1}
RUNS = {"ppo": {**TINY, "env-steps": 600}, "rl2": {**TINY, "env-steps": 600, "episodes": 1, "lstm": 4}}


@pytest.fixture(params=sorted(RUNS))
def name(request):
    if request.param == "rl2":
        pytest.importorskip("sb3_contrib", reason="an extra")
    return request.param


def train(name, folder, *more):
    run_here("train", "dynamics", "--learner", name, *options(RUNS[name]), "--out", str(folder), *more)


def test_a_run_leaves_what_deploys_and_goes_on(name, tmp_path, capsys):
    train(name, tmp_path / "run")
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == str(tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "checkpoint.safetensors",
        "learner.safetensors",
        "metrics.jsonl",
    }
    tensors, header = load(tmp_path / "run" / "learner.safetensors")
    trained = rebuild(tensors, header)
    assert header["learner"] == name
    assert header["env_steps"] == 600  # 200 for the scales and two legs of 200
    assert sum(value.numel() for value in trained.actor.parameters()) > 0
    assert [line["env_steps"] for line in log_lines(tmp_path / "run" / "metrics.jsonl")] == [400, 600]
    train(name, tmp_path / "run", "--resume", "--env-steps", "800")
    assert [line["env_steps"] for line in log_lines(tmp_path / "run" / "metrics.jsonl")] == [400, 600, 800]
    train(name, tmp_path / "straight", "--env-steps", "800")
    ends = [(tmp_path / each / "learner.safetensors").read_bytes() for each in ("run", "straight")]
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--rate", "-1"), "rate must be above 0 and at most 1, got -1.0"),
        (("--env", "envs:PhaseArm/Moon-v0"), "unknown env 'envs:PhaseArm/Moon-v0'; choose from"),
        (("--resume",), "holds a run"),
    ],
)
def test_wrong_input_is_named(more, said, tmp_path, capsys):
    if "--resume" in more:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"")
        more = ()
    with pytest.raises(SystemExit) as end:
        train("ppo", tmp_path / "run", *more)
    assert end.value.code == 2
    assert said in " ".join(capsys.readouterr().err.replace("|", " ").replace("│", " ").split())


def test_headers_are_json(tmp_path):
    train("ppo", tmp_path)
    assert json.dumps(load(tmp_path / "learner.safetensors")[1])
