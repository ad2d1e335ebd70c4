"""Budgets: what a checkpoint says of the experience behind it."""

import hashlib

import pytest

from agents.budget import (
    Line,
    beside,
    budget,
    budget_lines,
    env_steps,
    meta_seed,
    read_steps,
    steps_per_episode,
    to_csv,
)
from agents.checkpoint import save
from agents.shipped import shipped_path
from tests.helpers import PLANAR

ROUNDS = {"round": 3, "env": PLANAR, "train": {"bodies": 5, "episodes": 2, "seed": 4}}


def test_rounds_are_counted_and_a_count_is_believed():
    assert env_steps(ROUNDS) == 3 * 5 * 2 * 100
    assert env_steps(ROUNDS | {"env_steps": 10_000_000}) == 10_000_000
    assert env_steps({"env": PLANAR}) is None


def test_an_episode_has_the_steps_of_its_world():
    assert steps_per_episode("envs:PhaseArm/ScorbotReach-v0") == 50
    with pytest.raises(ValueError, match="Track"):
        steps_per_episode("CartPole-v1")


def test_the_seed_is_that_of_the_training():
    assert (meta_seed(ROUNDS), meta_seed({"seed": 7}), meta_seed({})) == (4, 7, 0)


def test_the_shipped_learner_has_a_budget():
    assert budget(shipped_path(PLANAR)) == {"meta_seeds": [0], "env_steps": 100 * 192 * 6 * 100}


def test_a_table_of_budgets_has_a_line_for_every_training(tmp_path):
    for name, header in {
        "delta-planartrack-v0": ROUNDS,
        "delta-planartrack-v0-1": {"env_steps": 30_000_000},
        "delta-scorbottrack-v0": {"env_steps": 7},
        "delta-planartrack-v0-random": {},
    }.items():
        save(tmp_path / f"{name}.safetensors", {}, header)
    trained = [("delta", 1), ("nominal", 0), ("delta", 0), ("delta-random", 0), ("delta", 0)]
    lines = budget_lines(trained, PLANAR, tmp_path)
    assert [line[:5] for line in lines] == [
        *[("delta", 0, 3000, 3, 4), ("delta", 1, 30_000_000, None, 0), ("delta-random", 0, None, None, 0)],
    ]
    first = (tmp_path / "delta-planartrack-v0.safetensors").read_bytes()
    assert lines[0][5:] == ("delta-planartrack-v0.safetensors", hashlib.sha256(first).hexdigest())
    assert to_csv(lines) == to_csv(budget_lines(trained[::-1], PLANAR, tmp_path))
    (tmp_path / "budgets.csv").write_bytes(to_csv(lines))
    assert read_steps(tmp_path / "budgets.csv") == {"delta": "3,000 and 30,000,000"}


def test_a_budget_without_its_checkpoint_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no checkpoint of meta-seed 9 .* there are \[0, 1"):
        budget_lines([("delta", 9)], PLANAR)


@pytest.mark.parametrize(
    ("table", "name"),
    [("table.csv.gz", "budgets.csv"), ("planarreach-v0.csv.gz", "planarreach-v0.budgets.csv")],
)
def test_budgets_lie_beside_their_table(table, name, tmp_path):
    assert beside(tmp_path / table) == tmp_path / name


def test_a_wrong_table_of_budgets_is_named(tmp_path):
    path = tmp_path / "budgets.csv"
    path.write_text("learner,env_steps\n")
    with pytest.raises(ValueError, match="no column 'meta_seed'"):
        read_steps(path)
    path.write_text(",".join(Line._fields) + "\nfox,0,many,,0,,\n")
    with pytest.raises(ValueError, match="env_steps of 'fox' must be a number, not 'many'"):
        read_steps(path)
