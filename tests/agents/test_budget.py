"""Budgets: what a checkpoint says of the experience behind it."""

import pytest

from agents.budget import budget, budgets, env_steps, meta_seed, steps_per_episode
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


def test_budgets_of_all_meta_seeds_of_a_world(tmp_path):
    for name, header in {
        "delta-planartrack-v0": ROUNDS,
        "delta-planartrack-v0-1": {"env_steps": 30_000_000},
        "delta-scorbottrack-v0": {"env_steps": 7},
        "delta-planartrack-v0-random": {},
    }.items():
        save(tmp_path / f"{name}.safetensors", {}, header)
    found = budgets(PLANAR, tmp_path)
    assert found["delta"] == "3,000 and 30,000,000"
    assert not {"delta-random", "nominal", "oracle"} & set(found)
