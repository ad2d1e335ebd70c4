"""Cells: what a learner finds on a block of chips does not depend on where and when it is run."""

import dataclasses

import numpy as np
import pytest
import torch

from agents import learners
from agents.cells import Cell, Order, SuiteCfg
from agents.chip import ChipCfg
from agents.evaluation import Arena, EvaluationCfg, place, run_policy
from agents.learners import LEARNERS, Entry, Player, checkpoint_path, checkpoints
from agents.shipped import load_shipped, shipped_path
from agents.suite_cell import COLUMNS, outcome, run_cell
from tests.helpers import PLANAR, SCORBOT

CFG = SuiteCfg(PLANAR, chips=2, tasks=2, lessons=1, seed=1001)


def order(learner="delta", memory="hermes_2", band="in_range", cfg=CFG, **more):
    return Order(cfg, Cell(learner, memory, band, **more)).checked()


def table(text):
    """Return the rows of a cell as lists of fields."""
    return [line.split(",") for line in text.decode().splitlines()]


def test_a_cell_finds_what_evaluate_finds():
    cfg = EvaluationCfg(PLANAR, chips=2, tasks=2, lessons=2, seed=1001, chip=ChipCfg())
    arena = Arena(cfg, "hard")
    shipped = load_shipped(shipped_path(PLANAR), PLANAR)
    trial = run_policy(arena, shipped, *place(arena, shipped), "policy")
    arena.close()
    found = outcome(order(band="hard", cfg=dataclasses.replace(CFG, lessons=2)))
    np.testing.assert_allclose(found.error, trial.rmse_rad, rtol=1e-4)  # threads of torch may differ
    np.testing.assert_array_equal(found.devices_written, trial.devices_written)
    np.testing.assert_allclose(found.energy_j, trial.energy_j, rtol=1e-6)
    assert found.energy_j[..., 0].max() == 0 < found.energy_j[..., 1:].min()


def test_rows_are_the_same_bytes_again_whatever_ran_before_and_with_whatever_threads():
    first = run_cell(order())
    run_cell(order("oracle", "float"))
    torch.set_num_threads(2)
    try:
        assert run_cell(order()) == first
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    rows = table(first)
    assert len(rows) == 2 * 2 * 2
    assert {len(row) for row in rows} == {len(COLUMNS)}
    assert [row[4:7] for row in rows[:3]] == [["0", "0", "0"], ["0", "0", "1"], ["0", "1", "0"]]
    assert {tuple(row[:4]) for row in rows} == {("delta", "hermes_2", "in_range", "0")}


def test_a_block_has_chips_of_its_own_and_the_last_may_be_smaller():
    cfg = dataclasses.replace(CFG, chips=10)
    first, second = order(cfg=cfg), order(cfg=cfg, block=1)
    assert (first.n_chips, second.n_chips, first.chip_seed) == (8, 2, 1001)
    assert second.chip_seed == order(cfg=dataclasses.replace(cfg, chips=16), block=1).chip_seed != 1001
    rows = table(run_cell(second))
    assert {row[4] for row in rows} == {"8", "9"}
    assert table(run_cell(order()))[0][7] != rows[0][7]  # other chips, other errors


def test_the_ends_of_the_scale_are_software_and_cost_nothing():
    nominal, oracle = outcome(order("nominal", "float")), outcome(order("oracle", "float"))
    assert nominal.error.shape == (1, 2, 2)
    assert (oracle.error < 0.2 * nominal.error).all()
    assert not oracle.energy_j.any()


def test_reaching_has_its_ends_too():
    cfg = SuiteCfg("envs:PhaseArm/PlanarReach-v0", tasks=6, lessons=1, seed=1001)
    nominal, oracle = outcome(order("nominal", "float", cfg=cfg)), outcome(order("oracle", "float", cfg=cfg))
    assert oracle.error.max() < 0.02 < 0.2 < nominal.error.mean()  # m
    assert (oracle.episode_return > nominal.episode_return).mean() > 0.7


def test_a_rest_comes_before_the_last_episode_alone():
    fresh, rested = outcome(order()), outcome(order(memory="hermes_2 age=31536000"))
    np.testing.assert_array_equal(rested.error[..., 0], fresh.error[..., 0])
    assert (rested.error[..., 1] != fresh.error[..., 1]).all()


def test_a_learner_lives_on_through_a_change_of_body_and_the_oracle_is_told_of_it():
    learner, oracle = outcome(order(memory="float", band="A-B-A")), outcome(order("oracle", "float", "A-B-A"))
    assert learner.error.shape == (1, 2, 6)
    np.testing.assert_array_equal(learner.error[..., :2], outcome(order(memory="float")).error)
    assert oracle.error.max() < 0.05
    assert outcome(order("nominal", "float", "A-B-A")).error.min() > 0.05


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"learner": "clever"}, "choose from .*'delta'"),
        ({"learner": "oracle"}, "software alone"),
        ({"memory": "flash"}, "hermes_2"),
        ({"meta_seed": 77}, r"meta-seed 77.*there are \[0"),
        ({"block": 1}, "block 1"),
        ({"learner": "here"}, "runs on"),
    ],
)
def test_a_cell_that_cannot_be_run_is_refused(wrong, named, monkeypatch):
    monkeypatch.setitem(LEARNERS, "here", Entry((SCORBOT,), lambda seat: pytest.fail("not built")))
    with pytest.raises(ValueError, match=named):
        order(**wrong)


def test_a_key_changes_with_everything_that_the_results_depend_on(tmp_path):
    base = order()
    keys = {
        base.key(),
        order(memory="float").key(),
        order(band="mild").key(),
        order("delta-random").key(),
        order(cfg=dataclasses.replace(CFG, tasks=3)).key(),
        order(cfg=dataclasses.replace(CFG, seed=1002)).key(),
        order(cfg=dataclasses.replace(CFG, chips=3)).key(),
    }
    assert len(keys) == 7
    other = tmp_path / "delta-planartrack-v0.safetensors"
    other.write_bytes(shipped_path(PLANAR).read_bytes())
    copied = dataclasses.replace(CFG, checkpoints=tmp_path)
    assert order(cfg=copied).key() == base.key()  # where a checkpoint lies is nothing to the results
    other.write_bytes(other.read_bytes() + b"!")
    assert order(cfg=copied).key() != base.key()
    more = dataclasses.replace(CFG, chips=16)
    assert order(cfg=more).key() == order(cfg=dataclasses.replace(CFG, chips=24)).key()  # block 0 has eight in both


def test_checkpoints_are_found_by_meta_seed_and_the_first_may_go_without_its_number(tmp_path):
    for name in (
        "delta-planartrack-v0",
        "delta-planartrack-v0-3",
        "delta-planartrack-v0-random",
        "delta-planartrack-v0-12",
    ):
        (tmp_path / f"{name}.safetensors").touch()
    assert sorted(checkpoints("delta", PLANAR, tmp_path)) == [0, 3, 12]
    assert sorted(checkpoints("delta-random", PLANAR, tmp_path)) == [0]
    assert checkpoints("nominal", PLANAR, tmp_path) == {}
    assert checkpoint_path("nominal", PLANAR, 0, tmp_path) is None
    assert checkpoint_path("delta", PLANAR, 12, tmp_path) == tmp_path / "delta-planartrack-v0-12.safetensors"


def test_a_learner_of_ones_own_is_one_entry(monkeypatch):
    class Lazy:
        def begin(self): ...
        def act(self, observation):
            return np.zeros((len(observation), 2))

        def learn(self, episode): ...

    monkeypatch.setitem(learners.LEARNERS, "lazy", Entry((PLANAR,), lambda seat: Player(Lazy())))
    assert outcome(order("lazy", "float")).error.shape == (1, 2, 2)
