"""The checkpoints that come with the project do what they are shipped for."""

import numpy as np
import pytest

from agents.checkpoint import load
from agents.evaluation import Arena, EvaluationCfg, place, run_baselines, run_policy
from agents.learners import checkpoints
from agents.shipped import load_shipped, shipped_path
from tests.helpers import PLANAR, SCORBOT

LEARNERS = [path for env_id in (PLANAR, SCORBOT) for path in checkpoints("delta", env_id).values()]
WANTED_SCORE = {PLANAR: 0.75, SCORBOT: 0.6}  # of 16 trials after 5 lessons; the README has the measured figures


def score(path, env_id):
    """Return the normalized score after five lessons on two chips and eight held-out bodies, and the first errors."""
    arena = Arena(EvaluationCfg(env_id, chips=2, tasks=8, lessons=5, seed=11), "in_range")
    shipped = load_shipped(path, env_id)
    trial, bases = run_policy(arena, shipped, *place(arena, shipped), "policy"), run_baselines(arena)
    arena.close()
    error, nominal, oracle = trial.rmse_rad[..., -1].mean(), bases.nominal[:, -1].mean(), bases.oracle[:, -1].mean()
    return (nominal - error) / (nominal - oracle), trial, bases


@pytest.mark.parametrize("path", LEARNERS, ids=lambda path: path.stem)
def test_a_shipped_learner_learns_bodies_on_chips(path):
    env_id = load(path)[1]["env"]
    found, trial, bases = score(path, env_id)
    assert found >= WANTED_SCORE[env_id]
    assert trial.rmse_rad[..., 0].mean() < 1.5 * bases.nominal[:, 0].mean()  # it starts as the nominal controller does
    devices = trial.devices_written.mean((0, 1))
    assert devices[0] == 0
    assert np.all((devices[1:] > 0) & (devices[1:] <= 1500))


@pytest.mark.parametrize("env_id", [PLANAR, SCORBOT])
def test_both_arms_learners_and_their_controls_are_shipped(env_id):
    assert shipped_path(env_id) in LEARNERS
    control, learner = load_shipped(shipped_path(env_id, "random"), env_id), load_shipped(shipped_path(env_id), env_id)
    assert control.learner.network == learner.learner.network


@pytest.mark.parametrize("path", LEARNERS, ids=lambda path: path.stem)
def test_a_shipped_learner_is_small(path):
    assert path.stat().st_size < 300_000
