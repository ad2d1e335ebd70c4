"""`launch.train dynamics --meta-seeds`: each run is what it is alone, wherever it is run and whoever dies meanwhile."""

from pathlib import Path

import pytest

from agents.spread import Places
from launch.train_many import asked
from tests.helpers import TINY, kill_a_worker, log_lines, options, run_here, start_apart


def train(folder, *arguments):
    run_here("train", "dynamics", "--out", str(folder), *options(TINY), *arguments)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder of two runs made one after the other, by a single run's command."""
    folder = tmp_path_factory.mktemp("alone")
    for seed in (3, 5):
        train(folder / f"seed-{seed}", "--seed", str(seed))
    return folder


def same(folder, alone):
    """Hold both runs of a folder against those made alone."""
    for seed in ("seed-3", "seed-5"):
        for name in ("learner.safetensors", "checkpoint.safetensors"):
            assert (folder / seed / name).read_bytes() == (alone / seed / name).read_bytes()
        assert log_lines(folder / seed / "metrics.jsonl") == log_lines(alone / seed / "metrics.jsonl")


def test_in_one_process_and_in_two_the_runs_are_those_made_alone(alone, tmp_path, capsys):
    train(tmp_path / "one", "--meta-seeds", "3", "5")
    same(tmp_path / "one", alone)
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "one")
    train(tmp_path / "two", "--meta-seeds", "3", "5", "--workers", "2")
    same(tmp_path / "two", alone)


@pytest.mark.slow
def test_by_ray_the_runs_are_those_made_alone(alone, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    monkeypatch.setenv("RAY_worker_niceness", "0")
    train(tmp_path / "run", "--meta-seeds", "3", "5", "--workers", "2", "--ray")
    same(tmp_path / "run", alone)


@pytest.mark.slow
def test_a_killed_workers_run_is_done_again(alone, tmp_path):
    wanted = ["dynamics", "--out", str(tmp_path), *options(TINY), "--meta-seeds", "3", "5", "--workers", "2"]
    process = start_apart("launch.train", *wanted)
    kill_a_worker(process, lambda: any(tmp_path.glob("seed-*/*")))
    _, said = process.communicate(timeout=500)
    assert process.returncode == 0, said
    same(tmp_path, alone)


def test_what_is_there_is_not_trained_over_and_resume_leaves_it(alone, capsys):
    before = (alone / "seed-3" / "learner.safetensors").stat().st_mtime_ns
    with pytest.raises(SystemExit) as ending:
        train(alone, "--meta-seeds", "3", "5")
    assert ending.value.code == 2
    assert "--resume" in capsys.readouterr().err
    assert (alone / "seed-3" / "learner.safetensors").stat().st_mtime_ns == before
    train(alone, "--meta-seeds", "3", "--resume")


def test_wrong_options_of_a_run_end_before_any_is_begun(tmp_path, capsys):
    with pytest.raises(SystemExit) as ending:
        train(tmp_path / "run", "--meta-seeds", "3", "--rounds", "many")
    assert ending.value.code == 2
    assert not (tmp_path / "run").exists()


def test_the_command_line_is_read():
    many = asked(
        ["dynamics", "--meta-seeds", "0", "2", "0", "--workers", "3", "--ray", "--rounds", "7", "--out", "here"]
    )
    assert many is not None
    assert (many.seeds, many.places, many.out) == ((0, 2), Places(3, ray=True), Path("here"))
    assert many.rest == ("dynamics", "--rounds", "7")
    assert asked(["dynamics", "--rounds", "7"]) is None
