"""`launch.evaluate dynamics` with tiny numbers: metrics.json has what programs rely on, and its figures agree."""

import json

import numpy as np
import pytest

from agents.evaluation import Arena, EvaluationCfg, run_baselines
from launch.evaluate import EvaluateDynamics, assemble
from pcm_backend import DEVICES
from tests.helpers import PLANAR, SCORBOT, run_here, tiny_run

TOP = {"scenario", "env", "learner", "memory", "chips", "seed", "episodes", "bands", "meta_seeds", "env_steps"}
MEANS = {
    *("rmse_rad", "rmse_rad_iqm", "rmse_rad_worst_tenth", "nominal_rmse_rad", "pi_rmse_rad", "oracle_rmse_rad"),
    *("never_written_rmse_rad", "normalized_score", "devices_written", "devices_failed", "energy_j"),
}
INTERVALS = {"rmse_rad_ci95", "normalized_score_ci95"}


def evaluate(folder, *arguments):
    run_here("evaluate", "dynamics", "--out", str(folder), *arguments)
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    """Two chips, three bodies, two bands, the rest of a year."""
    folder = tmp_path_factory.mktemp("evaluate") / "run"
    return evaluate(folder, "--chips", "2", "--tasks", "3", "--seed", "4", "--bands", "in_range", "hard")


def tables(metrics):
    """Yield the figures of every policy and band."""
    for part in (metrics, metrics["software"]):
        yield from part["bands"].values()


def test_every_key_is_there_and_every_list_has_an_entry_an_episode(metrics):
    assert set(metrics) >= TOP
    wanted = {"scenario": "dynamics", "env": PLANAR, "learner": "delta", "memory": "hermes_2", "chips": 2, "seed": 4}
    assert {name: metrics[name] for name in wanted} == wanted
    assert metrics["episodes"] == 6
    assert metrics["meta_seeds"] == [0]
    assert metrics["env_steps"] == 100 * 192 * 6 * 100  # rounds, bodies, episodes, control steps of the shipped run
    assert list(metrics["bands"]) == list(metrics["software"]["bands"]) == ["in_range", "hard"]
    for figures in tables(metrics):
        assert set(figures) >= MEANS | INTERVALS
        for name in MEANS:
            assert np.shape(figures[name]) == (6,), name
        for name in INTERVALS:
            assert np.shape(figures[name]) == (6, 2), name
        assert np.isfinite([figures[name] for name in MEANS]).all()


def test_intervals_hold_their_means_and_worst_tenths_lie_above(metrics):
    for figures in tables(metrics):
        for value, (low, high) in zip(figures["rmse_rad"], figures["rmse_rad_ci95"], strict=True):
            assert low <= value <= high
        for value, (low, high) in zip(figures["normalized_score"], figures["normalized_score_ci95"], strict=True):
            assert low <= value <= high
        assert (np.array(figures["rmse_rad_worst_tenth"]) >= figures["rmse_rad"]).all()


def test_score_is_zero_at_the_nominal_controller_and_one_at_the_oracle(metrics):
    for figures in tables(metrics):
        nominal, oracle = np.array(figures["nominal_rmse_rad"]), np.array(figures["oracle_rmse_rad"])
        score = (nominal - figures["rmse_rad"]) / (nominal - oracle)
        np.testing.assert_allclose(figures["normalized_score"], score, rtol=1e-9)


def test_only_lessons_on_chips_write(metrics):
    for figures in metrics["bands"].values():
        assert figures["devices_written"][0] == figures["energy_j"][0] == 0
        assert min(figures["devices_written"][1:]) > 0
        assert min(figures["energy_j"][1:]) > 0
        np.testing.assert_allclose(figures["never_written_rmse_rad"][0], figures["rmse_rad"][0], rtol=0.05)
    for figures in metrics["software"]["bands"].values():
        assert not any(figures["devices_written"] + figures["energy_j"])
        assert figures["never_written_rmse_rad"][0] == figures["rmse_rad"][0]


def test_baselines_are_those_of_the_same_bodies(metrics):
    arena = Arena(EvaluationCfg(PLANAR, chips=2, tasks=3, seed=4), "hard")
    bases = run_baselines(arena)
    arena.close()
    for part in (metrics, metrics["software"]):
        np.testing.assert_allclose(part["bands"]["hard"]["oracle_rmse_rad"], bases.oracle.mean(0))
        np.testing.assert_allclose(part["bands"]["hard"]["nominal_rmse_rad"], bases.nominal.mean(0))
        np.testing.assert_allclose(part["bands"]["hard"]["pi_rmse_rad"], bases.integral.mean(0))


def test_a_rest_is_reported_with_and_without_compensation(metrics):
    for rest in metrics["retention"].values():
        assert rest["age_s"] == 365 * 24 * 3600
        assert set(rest) >= {"advantage_left_rested", "advantage_left_rested_uncompensated", "rested_rmse_rad"}


def test_same_command_same_figures_and_another_seed_other_ones(tmp_path):
    short = ("--chips", "1", "--tasks", "2", "--lessons", "1", "--retention-s", "0")
    one, again = (evaluate(tmp_path / name, *short)["bands"] for name in ("one", "again"))
    assert one == again
    assert evaluate(tmp_path / "other", *short, "--seed", "1")["bands"] != one


def test_in_software_there_is_one_chip_and_no_rest(tmp_path, capsys):
    found = evaluate(tmp_path / "run", "--memory", "float", "--chips", "3", "--tasks", "2", "--lessons", "1")
    assert (found["chips"], found["episodes"], found["retention"]) == (1, 2, {})
    assert found["bands"]["in_range"]["rmse_rad"] == found["software"]["bands"]["in_range"]["rmse_rad"]
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == str(tmp_path / "run")
    assert any(line.startswith("policy in software") for line in printed)


def test_a_table_of_ones_own_devices_is_a_memory(tmp_path):
    columns = {"g_us": [0, 20], "programming_sd_us": [0, 1], "drift_mean": [0, 0], "drift_sd": [0, 0], "read_q": [0, 0]}
    (tmp_path / "our_cells.json").write_text(json.dumps(columns))
    cfg = EvaluateDynamics(memory=str(tmp_path / "our_cells.json"))
    try:
        for _ in range(2):  # the same table may come again
            assert cfg.protocol().chip.memory == "our_cells"
        assert DEVICES["our_cells"].g_max_us == 20.0
    finally:
        DEVICES.pop("our_cells", None)
    assert assemble(cfg, {})["memory"] == "our_cells"


@pytest.mark.parametrize("env", [PLANAR, SCORBOT])
def test_a_freshly_trained_learner_is_evaluated(env, tmp_path):
    checkpoint = str(tiny_run(env) / "learner.safetensors")
    short = ("--chips", "1", "--tasks", "2", "--lessons", "1", "--retention-s", "0", "--memory", "ideal")
    found = evaluate(tmp_path / "run", "--env", env, "--checkpoint", checkpoint, *short)
    assert (found["env"], found["memory"]) == (env, "ideal")
    assert np.isfinite(found["bands"]["in_range"]["rmse_rad"]).all()
