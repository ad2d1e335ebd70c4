"""`launch.evaluate dynamics --suite` with tiny numbers: it says how long, goes on where it stopped, adds to a table."""

import gzip
import os
import signal
import time

import pytest

from agents.shipped import shipped_path
from launch.evaluate_suite import EvaluateSuite
from tests.helpers import PLANAR, SCORBOT, kill_a_worker, run_here, start_apart

SMALL = ["--chips", "1", "--tasks", "2", "--lessons", "1", "--bands", "in_range", "--seed", "1003"]


def evaluate(folder, *arguments):
    run_here("evaluate", "dynamics", "--suite", "--out", str(folder), *SMALL, *arguments)
    return gzip.decompress((folder / "table.csv.gz").read_bytes())


def test_it_foretells_goes_on_and_adds_other_parts_to_the_table(tmp_path, capsys):
    first = evaluate(tmp_path / "run", "--learners", "nominal", "oracle")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("2 cells to run (8 episodes), 0 kept: about 0.0 min on 1 worker")
    assert printed[-1] == str(tmp_path / "run")
    assert any(line.startswith("oracle, float, in_range") for line in printed)
    assert evaluate(tmp_path / "run", "--learners", "nominal", "oracle") == first
    assert capsys.readouterr().out.startswith("0 cells to run (0 episodes), 2 kept")
    more = evaluate(tmp_path / "run", "--learners", "delta", "--memories", "hermes_2 bits=6")
    assert set(first.splitlines()) < set(more.splitlines())
    assert b"delta,hermes_2 bits=6,in_range,0,0,1,1," in more


def test_cells_of_other_code_are_counted_before_it_starts(tmp_path, capsys, monkeypatch):
    first = evaluate(tmp_path, "--learners", "nominal", "oracle")
    monkeypatch.setattr("agents.suite.source_sha256", lambda: "0" * 64)
    capsys.readouterr()
    assert evaluate(tmp_path, "--learners", "nominal", "oracle", "--keep-cells") == first
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "2 cells made by other code than this: kept as they are"
    assert said[1].startswith("0 cells to run (0 episodes), 2 kept")
    assert len(evaluate(tmp_path, "--learners", "oracle").splitlines()) == 1 + 4
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(
        "2 cells made by other code than this: 1 run again, 1 left out of the table; --keep-cells"
    )


def test_killed_in_the_middle_it_goes_on_to_the_same_table(tmp_path):
    wanted = ["--learners", "nominal", "integral", "oracle", "delta"]
    whole = evaluate(tmp_path / "whole", *wanted)
    out = tmp_path / "killed"
    process = start_apart("launch.evaluate", "dynamics", "--suite", "--out", str(out), *SMALL, *wanted)
    end = time.monotonic() + 100
    while not list(out.glob("cells/*.csv.gz")) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (out / "table.csv.gz").exists()
    assert list(out.glob("cells/*.csv.gz"))
    assert evaluate(out, *wanted) == whole


@pytest.mark.slow
@pytest.mark.parametrize(("spread", "called"), [((), "spawn_main"), (("--ray",), "ray::do")], ids=["pool", "ray"])
def test_a_worker_killed_in_the_middle_changes_nothing_in_the_table(spread, called, tmp_path, monkeypatch):
    if spread:
        pytest.importorskip("ray", reason="the extra [ray] is not installed")
        monkeypatch.setenv("RAY_worker_niceness", "0")
    wanted = ["--learners", "nominal", "integral", "oracle", "delta", "--tasks", "12"]
    whole = evaluate(tmp_path / "whole", *wanted)
    out = tmp_path / "run"
    arguments = ("--out", str(out), *SMALL, *wanted, "--workers", "2", *spread)
    process = start_apart("launch.evaluate", "dynamics", "--suite", *arguments)
    kill_a_worker(process, lambda: list(out.glob("cells/*.csv.gz")), called)
    _, said = process.communicate(timeout=900)
    assert process.returncode == 0, said
    assert gzip.decompress((out / "table.csv.gz").read_bytes()) == whole


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--learners", "clever"], ["clever", "delta"]),
        (["--memories", "hermes_2 colour=1"], ["colour", "bits"]),
        (["--plan", "grand"], ["grand", "main"]),
        (["--workers", "0"], ["workers", "0"]),
        (["--env", "CartPole-v1"], ["CartPole-v1", PLANAR]),
        (["--meta-seeds", "99"], ["99", "[0"]),
        (["--bands", "wobble=1"], ["wobble", "payload_kg"]),
        (["--bands", "in_range", "easy"], ["easy", "in_range", "mild", "hard"]),
        (["--bands", "payload_kg=-3"], ["payload_kg", "-3", "at least 0.0"]),
        (["--bands", "A-B-A", "--tasks", "1"], ["1 body", "at least 2"]),
        (["--memories", ""], ["''", "hermes_2"]),
        (["--memories", "hermes_2 bits=99"], ["bits=99", "2 to 16"]),
        (["--memories", "hermes_2 scale=row"], ["row", "column", "matrix", "core"]),
        (["--memories", "hermes_2 head_slices=3"], ["3", "[1, 2]"]),
    ],
)
def test_wrong_input_ends_with_two_and_what_would_be_right(arguments, named, tmp_path, capsys):
    with pytest.raises(SystemExit) as ending:
        run_here("evaluate", "dynamics", "--suite", "--out", str(tmp_path / "run"), *arguments)
    assert ending.value.code == 2
    said = capsys.readouterr().err
    assert all(each in said for each in named), said
    assert not (tmp_path / "run").exists()  # nothing was begun


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"not a checkpoint", ["delta-planartrack-v0.safetensors", "is not a PhaseArm checkpoint"]),
        (shipped_path(SCORBOT).read_bytes(), [f"trained on '{SCORBOT}'", f"not on '{PLANAR}'"]),
    ],
    ids=["torn", "of another arm"],
)
def test_a_checkpoint_that_is_none_of_this_world_is_refused_at_once(content, named, tmp_path, capsys):
    (tmp_path / shipped_path(PLANAR).name).write_bytes(content)
    arguments = ["--checkpoints", str(tmp_path), "--learners", "delta"]
    with pytest.raises(SystemExit) as ending:
        run_here("evaluate", "dynamics", "--suite", "--out", str(tmp_path / "run"), *arguments)
    assert ending.value.code == 2
    said = capsys.readouterr().err
    assert all(each in said for each in named), said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", [["--ray"], ["--ray-address", "auto"]], ids=["own", "running"])
def test_ray_is_refused_at_once_where_it_is_not_installed(option, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("agents.spread.importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ending:
        run_here("evaluate", "dynamics", "--suite", "--out", str(tmp_path / "run"), *option)
    assert ending.value.code == 2
    assert "Ray is not installed" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_parts_that_share_a_cell_run_it_once():
    cfg = EvaluateSuite(
        plan=("main", "midlife"), learners=("delta",), meta_seeds=(0,), bands=("mild",), chips=1, tasks=1
    )
    assert [order.cell.memory for order in cfg.orders()] == ["float", "hermes_2"]
