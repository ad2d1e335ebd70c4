"""The shipped baselines of tracking do what they are shipped for, in software and on a chip."""

import pytest

from agents.cells import Cell, Order, SuiteCfg
from agents.learners import checkpoint_path, checkpoints
from agents.suite_cell import outcome
from tests.helpers import PLANAR

# Error after five lessons over the first, at most; README and docs have the measured figures.
WANTED_SHARE = {"delta-plain": 1.3, "cavia": 1.0, "maml": 1.0}
SHIPPED = [(name, number) for name in WANTED_SHARE for number in sorted(checkpoints(name, PLANAR))]


@pytest.mark.parametrize("memory", ["float", "hermes_2"])
@pytest.mark.parametrize(("name", "number"), SHIPPED)
def test_a_shipped_baseline_runs_and_learns_as_much_as_is_said(name, number, memory):
    cfg = SuiteCfg(PLANAR, chips=1, tasks=8, lessons=5, seed=11)
    found = outcome(Order(cfg, Cell(name, memory, "in_range", number)).checked())
    assert found.error[..., -1].mean() < WANTED_SHARE[name] * found.error[..., 0].mean()
    assert found.error[..., 0].mean() < 0.8  # about the nominal controller's at worst


@pytest.mark.parametrize("name", ["delta-midlife", "delta-renewed"])
def test_a_body_that_comes_back_is_learned_again(name):
    cfg = SuiteCfg(PLANAR, chips=1, tasks=24, lessons=5, seed=1000)
    errors = {
        who: outcome(Order(cfg, Cell(who, "float", "A-B-A", 0)).checked()).error.mean(axis=(0, 1))
        for who in ("delta", name)
    }
    assert errors[name][17] < 0.5 * errors["delta"][17]
    assert errors[name][5] < errors["delta"][5] + 0.02  # at little cost where nothing changes


def test_every_baseline_is_shipped_and_small():
    assert {name for name, _ in SHIPPED} == set(WANTED_SHARE)
    for name, number in SHIPPED:
        path = checkpoint_path(name, PLANAR, number)
        assert path is not None
        assert path.stat().st_size < 300_000
