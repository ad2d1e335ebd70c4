"""`python -m launch.train dynamics --learner NAME`: the name is read first and picks the options that follow."""

import pytest

from launch import train_dynamics
from launch.train_dynamics import LEARNERS, named_learner
from tests.helpers import run_apart, run_here


@pytest.mark.parametrize(
    ("line", "name", "rest"),
    [
        ("dynamics --rounds 3", "delta", "dynamics --rounds 3"),
        ("dynamics --learner delta --rounds 3", "delta", "dynamics --rounds 3"),
        ("dynamics --rounds 3 --learner=delta", "delta", "dynamics --rounds 3"),
        ("trajectory --learner x", "delta", "trajectory --learner x"),  # no business of other scenarios
        ("--help", "delta", "--help"),
    ],
)
def test_the_name_is_taken_out_of_the_command_line(line, name, rest):
    assert named_learner(line.split()) == (name, rest.split())


def test_the_named_learner_is_the_one_that_runs(monkeypatch):
    ran = []
    kind = LEARNERS["delta"][0]
    monkeypatch.setitem(train_dynamics.LEARNERS, "other", (kind, ran.append))
    run_here("train", "dynamics", "--learner", "other", "--rounds", "7")
    assert [cfg.train.rounds for cfg in ran] == [7]


def test_an_unknown_learner_ends_with_one_line():
    code, _, err = run_apart("launch.train", "dynamics", "--learner", "magic")
    assert code == 2
    assert err.startswith("error: unknown --learner 'magic'; choose from ['")
    assert err.count("\n") == 1
