"""Training that is killed, at any moment, and taken up again: the files are whole and the end is the same."""

import hashlib
import os
import random
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from agents.checkpoint import UNFINISHED, digest, learner_tensors, load, restore_learner
from agents.meta_train import MetaTrainCfg
from tests.helpers import TINY, log_lines, options, run_apart, run_here, snapshot, start_apart, tiny_run

SHORT = options(
    {
        **{"rounds": 6, "bodies": 8, "steps": 3, "batch": 4, "hidden": 8, "features": 4},
        **{"warm-rounds": 2, "episodes": 3, "threads": 1},
    }
)
FILES = {"checkpoint.safetensors", "learner.safetensors", "metrics.jsonl"}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digest_line(out):
    return re.search(r"^learner ([0-9a-f]{64})$", out, re.MULTILINE).group(1)


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory):
    """The folder of a run that nobody killed; it ran in this process, the killed ones run in their own."""
    folder = tmp_path_factory.mktemp("unkilled") / "run"
    run_here("train", "dynamics", *SHORT, "--out", str(folder))
    return folder


def killed_at_random(folder, rng):
    """Start or resume the run in a folder and kill -9 it at a random moment; return whether it still ran.

    It is killed between its start and a little after its second round, which in a resumed run is any two rounds.
    """
    process = start_apart("launch.train", "dynamics", *SHORT, "--resume", "--out", str(folder))
    rounds = rng.randint(0, 2)
    reached = rounds_kept(folder) + rounds
    until = time.monotonic() + 60
    while rounds_kept(folder) < reached and process.poll() is None and time.monotonic() < until:
        time.sleep(0.002)
    time.sleep(rng.uniform(0.0, 0.4 if rounds else 3.0))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def rounds_kept(folder):
    """Return the rounds that the checkpoint holds, 0 without one."""
    path = folder / "checkpoint.safetensors"
    return load(path)[1]["round"] if path.exists() else 0


def check_whole(folder):
    """Check every file under its own name; return the rounds that the checkpoint holds, 0 without one."""
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    assert {name for name in names if not name.endswith(UNFINISHED)} <= FILES
    assert not any(name in FILES or name.endswith(".safetensors") for name in names - FILES)
    if "checkpoint.safetensors" not in names:
        assert "learner.safetensors" not in names
        return 0
    tensors, header = load(folder / "checkpoint.safetensors")
    learner = restore_learner(tensors, header)
    assert {f"learner.{name}" for name in learner.state_dict()} <= set(tensors)
    assert set(header) == {"learner", "env", "network", "rule", "round", "train"}
    assert set(header["train"]) == set(MetaTrainCfg.__dataclass_fields__)
    assert any(name.startswith("adam.") for name in tensors)
    rounds = [line["round"] for line in log_lines(folder / "metrics.jsonl")]
    assert rounds == list(range(1, len(rounds) + 1))
    assert header["round"] <= len(rounds) <= header["round"] + 1
    return header["round"]


def kill_and_compare(folder, whole, kills, rng):
    """Kill a run so often at random moments, let it end, compare; return the rounds found after each kill."""
    reached = []
    while len(reached) < kills:
        if killed_at_random(folder, rng):
            reached.append(check_whole(folder))
        else:  # it had ended: its end is judged, and a new run begins
            check_same(folder, whole)
            shutil.rmtree(folder)
    code, out, err = run_apart("launch.train", "dynamics", *SHORT, "--resume", "--out", str(folder))
    assert code == 0, err
    check_same(folder, whole)
    learner = restore_learner(*load(whole / "learner.safetensors"))
    assert digest_line(out) == digest(learner_tensors(learner))
    return reached


def check_same(folder, whole):
    """Check that two runs that ended left the same files, but for the time they took."""
    assert {path.name for path in folder.iterdir()} == FILES
    for name in ("checkpoint.safetensors", "learner.safetensors"):
        assert sha256(folder / name) == sha256(whole / name)
    assert log_lines(folder / "metrics.jsonl") == log_lines(whole / "metrics.jsonl")


def test_a_run_killed_three_times_ends_as_if_never_killed(unkilled, tmp_path):
    kill_and_compare(tmp_path / "run", unkilled, 3, random.Random(3))


@pytest.mark.slow
def test_a_run_killed_twenty_times_ends_as_if_never_killed(unkilled, tmp_path):
    reached = kill_and_compare(tmp_path / "run", unkilled, 20, random.Random(20))
    print("rounds in the checkpoint after each kill:", reached)


class KilledError(BaseException):
    """Stands for a kill: nothing in the script catches it."""


def die_at_write(monkeypatch, number, after):
    """Let write `number` (from 0) be the last thing that happens, before or after its file takes its name.

    A killed process cleans nothing up, so nothing is unlinked any more from then on.
    """
    replace, done = os.replace, []

    def last(source, target):
        done.append(target)
        if len(done) <= number:
            return replace(source, target)
        if after:
            replace(source, target)
        monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
        raise KilledError

    monkeypatch.setattr(os, "replace", last)


TWO_ROUNDS = options(TINY | {"rounds": 2})
WRITES = 5  # a log and a checkpoint in each round, then the learner


@pytest.fixture(scope="module")
def two_rounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two") / "run"
    run_here("train", "dynamics", *TWO_ROUNDS, "--out", str(folder))
    return folder


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(WRITES))
def test_death_at_any_write_costs_nothing(number, after, two_rounds, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        die_at_write(patch, number, after)
        with pytest.raises(KilledError):
            run_here("train", "dynamics", *TWO_ROUNDS, "--out", str(folder))
    leftovers = [path.name for path in folder.iterdir() if path.name.endswith(UNFINISHED)]
    assert len(leftovers) == (0 if after else 1)
    check_whole(folder)
    run_here("train", "dynamics", *TWO_ROUNDS, "--out", str(folder), "--resume")
    check_same(folder, two_rounds)


def test_resuming_a_run_that_ended_changes_nothing(capsys, tmp_path):
    folder = shutil.copytree(tiny_run(), tmp_path / "run")
    run_here("train", "dynamics", *options(TINY), "--out", str(folder), "--resume")
    assert snapshot(folder) == snapshot(tiny_run())
    learner = restore_learner(*load(folder / "learner.safetensors"))
    assert digest_line(capsys.readouterr().out) == digest(learner_tensors(learner))


def test_another_seed_is_another_learner(tmp_path):
    run_here("train", "dynamics", *options(TINY | {"seed": 1}), "--out", str(tmp_path / "run"))
    assert sha256(tmp_path / "run" / "learner.safetensors") != sha256(tiny_run() / "learner.safetensors")
