"""`python -m launch.train trajectory`: its folder, and a run in two parts that ends as one in one go."""

import csv
import json

import pytest

from agents.checkpoint import load
from tests.helpers import options, run_here

TINY = options({"batch": 2, "threads": 1, "coding": "motion", "save-every": 2})
FILES = {"checkpoint.safetensors", "learner.safetensors", "config.json", "learning_curve.csv", "learning_curve.png"}


def train(folder, *more):
    run_here("train", "trajectory", *TINY, "--out", str(folder), *more)


def test_two_parts_end_as_one(tmp_path, capsys):
    train(tmp_path / "whole", "--iterations", "3")
    train(tmp_path / "parts", "--iterations", "1")
    train(tmp_path / "parts", "--iterations", "3", "--resume")
    digests = [line for line in capsys.readouterr().out.splitlines() if line.startswith("learner ")]
    assert digests[0] == digests[2] != digests[1]
    assert {path.name for path in (tmp_path / "parts").iterdir()} == FILES
    curves = [list(csv.DictReader((tmp_path / name / "learning_curve.csv").open())) for name in ("whole", "parts")]
    assert curves[0] == curves[1]
    assert [row["iteration"] for row in curves[0]] == ["1", "2", "3"]
    header = load(tmp_path / "parts" / "learner.safetensors")[1]
    assert (header["learner"], header["iteration"]) == ("eprop", 3)
    assert json.loads((tmp_path / "parts" / "config.json").read_text())["networks"]["coding"] == "motion"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--save-every", "0"], "save_every must be at least 1, got 0"),
        (["--minutes", "-1"], "minutes must be 0 or more, got -1"),
        (["--resume"], "--resume needs --out"),
    ],
)
def test_wrong_input_ends_in_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        run_here("train", "trajectory", "--iterations", "1", "--batch", "2", *arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
