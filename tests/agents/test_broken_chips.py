"""The shipped policies learn on chips with broken devices, and every lesson tells what it could not write."""

import numpy as np
import pytest

from agents.baselines.controllers import ComputedTorque
from agents.chip import ChipCfg
from agents.evaluation import Arena, EvaluationCfg, place, run_policy
from agents.shipped import load_shipped, shipped_path
from tests.helpers import PLANAR, SCORBOT


@pytest.mark.parametrize("env", [PLANAR, SCORBOT])
def test_one_stuck_device_in_a_hundred_and_a_dead_row_cost_less_than_a_tenth_of_the_score(env):
    shipped = load_shipped(shipped_path(env), env)
    scores, failed = [], []
    for faults in ({}, {"stuck_share": 0.01, "dead_rows": 1}):
        arena = Arena(EvaluationCfg(env, chips=2, tasks=6, seed=1000, chip=ChipCfg(**faults)), "in_range")
        trial = run_policy(arena, shipped, *place(arena, shipped), "policy")
        fixed = ComputedTorque(arena.world(1)), ComputedTorque(arena.world(1), arena.tasks)
        nominal, oracle = (arena.run(controller, "")[0][..., -1].mean() for controller in fixed)
        scores.append((nominal - trial.rmse_rad[..., -1].mean()) / (nominal - oracle))
        failed.append(trial.devices_failed)
        arena.close()
    assert scores[1] > 0.9 * scores[0]
    assert not failed[0].any()
    assert (failed[1][..., 1:] > 0).all()  # the head has a dead row, so every lesson of every task meets it
    assert not failed[1][..., 0].any()


def test_shares_beyond_one_are_named():
    with pytest.raises(ValueError, match=r"stuck_share must be a share, 0 to 1, got 1\.5"):
        ChipCfg(stuck_share=1.5)
    with pytest.raises(ValueError, match="dead_rows"):
        ChipCfg(dead_rows=-1)
    assert np.isclose(ChipCfg(stuck_share=0.02).faults().stuck_set, 0.01)
