"""Wrong input: exit code 2, no traceback, one message that names the bad value and the good ones, and no file."""

import re
import shutil

import pytest
import torch

from tests.helpers import PLANAR, SCORBOT, TINY, options, run_apart, run_here, snapshot, tiny_run

EVALUATE = ["evaluate", "dynamics", "--chips", "1", "--tasks", "1", "--no-random-features", "--out", "{out}"]
RENDER = ["render", "dynamics", "--chips", "1", "--tasks", "2", "--out", "{out}"]
TRAIN = ["train", "dynamics", *options(TINY), "--out", "{out}"]
MEMORIES = ["float", "ideal", "pcm_like", "state_independent", "hermes_1", "hermes_2"]
WORLDS = [PLANAR, SCORBOT]
SEEDS = "0 to 4294967295"

# What is typed, and what the message must say: the bad value first, then good ones or what to do.
CASES = {
    "memory": ([*EVALUATE, "--memory", "flash"], ["flash", *MEMORIES]),
    "memory, filmed": ([*RENDER, "--memory", "flash"], ["flash", *MEMORIES]),
    "no such table": ([*EVALUATE, "--memory", "{none}.json"], ["{none}.json", "No such file"]),
    "no table": ([*EVALUATE, "--memory", "{table}"], ["{table}", "lacks", "g_us", "read_q"]),
    "band": ([*EVALUATE, "--bands", "easy"], ["easy", "in_range", "mild", "hard"]),
    "no band": ([*EVALUATE, "--bands"], ["()", "in_range", "mild", "hard"]),
    "scale": ([*EVALUATE, "--scale", "row"], ["row", "column", "matrix", "core"]),
    "chips": ([*EVALUATE, "--chips", "0"], ["chips", "got 0", "at least 1"]),
    "chips, a word": ([*EVALUATE, "--chips", "many"], ["chips", "many", "int"]),
    "tasks": ([*EVALUATE, "--tasks", "0"], ["tasks", "got 0", "at least 1"]),
    "lessons": ([*EVALUATE, "--lessons", "0"], ["lessons", "got 0", "at least 1"]),
    "env of ours": ([*EVALUATE, "--env", "envs:PhaseArm/Nope-v0"], ["'envs:PhaseArm/Nope-v0'", *WORLDS]),
    "env of others": ([*EVALUATE, "--env", "Pendulum-v1"], ["'Pendulum-v1'", *WORLDS]),
    "age": ([*EVALUATE, "--age-s", "-1"], ["age_s", "got -1", "0 or more"]),
    "age, not a number": ([*EVALUATE, "--age-s", "nan"], ["age_s", "got nan", "finite"]),
    "rest": ([*EVALUATE, "--retention-s", "-5"], ["retention-s", "got -5", "0 or more"]),
    "rest without end": ([*EVALUATE, "--retention-s", "inf"], ["retention-s", "got inf", "finite"]),
    "seed": ([*EVALUATE, "--seed", "-1"], ["seed", "got -1", SEEDS]),
    "large seed": ([*EVALUATE, "--seed", "4294967296"], ["seed", "got 4294967296", SEEDS]),
    "cuda": ([*EVALUATE, "--device", "cuda"], ["cuda", "auto", "cpu"]),
    "no such checkpoint": ([*EVALUATE, "--checkpoint", "{none}"], ["{none}", "delta-planartrack-v0.safetensors"]),
    "no checkpoint at all": ([*EVALUATE, "--checkpoint", "{text}"], ["{text}", "launch.train"]),
    "empty checkpoint": ([*EVALUATE, "--checkpoint", "{empty}"], ["{empty}", "launch.train"]),
    "truncated checkpoint": ([*EVALUATE, "--checkpoint", "{torn}"], ["{torn}", "launch.train"]),
    "folder for a checkpoint": ([*EVALUATE, "--checkpoint", "{run}"], ["{run}", "delta-planartrack-v0.safetensors"]),
    "checkpoint of the other arm": (
        [*EVALUATE, "--env", SCORBOT, "--checkpoint", "{learner}"],
        ["{learner}", f"on '{PLANAR}'", f"not on '{SCORBOT}'"],
    ),
    "out is a file": ([*EVALUATE, "--out", "{text}"], ["{text}", "folder"]),
    "out under a file": ([*EVALUATE, "--out", "{text}/run"], ["{text}/run", "folder"]),
    "out where none can be": ([*EVALUATE, "--out", "/proc/run"], ["/proc/run", "folder"]),
    "odd width": ([*RENDER, "--width", "321"], ["width", "got 321", "even"]),
    "no height": ([*RENDER, "--height", "0"], ["height", "got 0", "16 to 4096"]),
    "body": ([*RENDER, "--body", "2"], ["body", "got 2", "0 to 1"]),
    "body below": ([*RENDER, "--body", "-1"], ["body", "got -1", "0 to 1"]),
    "render in no world": ([*RENDER, "--env", "Pendulum-v1"], ["'Pendulum-v1'", *WORLDS]),
    "render without tasks": ([*RENDER, "--tasks", "0"], ["tasks", "got 0", "at least 1"]),
    "rounds": ([*TRAIN, "--rounds", "0"], ["rounds", "got 0", "at least 1"]),
    "one episode": ([*TRAIN, "--episodes", "1"], ["episodes", "got 1", "at least 2"]),
    "warm rounds": ([*TRAIN, "--warm-rounds", "-1"], ["warm_rounds", "got -1", "at least 0"]),
    "features": ([*TRAIN, "--features", "1"], ["features", "got 1", "at least 2"]),
    "rate, not a number": ([*TRAIN, "--rate", "nan"], ["rate", "got nan", "above 0"]),
    "rate beyond": ([*TRAIN, "--rate", "1e38"], ["rate", "got 1e+38", "at most 1"]),
    "noise below": ([*TRAIN, "--head-noise", "-0.1"], ["head_noise", "got -0.1", "0 or more"]),
    "training seed": ([*TRAIN, "--seed", "-1"], ["seed", "got -1", SEEDS]),
    "train in no world": ([*TRAIN, "--env", "Pendulum-v1"], ["'Pendulum-v1'", *WORLDS]),
    "train on cuda": ([*TRAIN, "--device", "cuda"], ["cuda", "auto", "cpu"]),
    "train into a run": ([*TRAIN, "--out", "{run}"], ["{run}", "--resume"]),
    "resume nothing": (["train", "dynamics", *options(TINY), "--resume"], ["--resume", "--out"]),
    "resume otherwise": ([*TRAIN, "--out", "{run}", "--resume", "--rate", "0.5"], ["rate", "0.003, 0.5", "same"]),
    "resume a torn run": ([*TRAIN, "--out", "{torn_run}", "--resume"], ["{torn_run}/checkpoint", "launch.train"]),
    "option": ([*TRAIN, "--nope", "1"], ["--nope"]),
    "scenario": (["evaluate", "swimming"], ["swimming", "dynamics"]),
    "demo without chips": (["demo", "--chips", "0", "--out", "{out}"], ["chips", "got 0", "at least 1"]),
    "demo in no world": (["demo", "--env", "Pendulum-v1", "--out", "{out}"], ["'Pendulum-v1'", *WORLDS]),
    "bench in no world": (["bench", "envs", "--env", "Pendulum-v1", "--out", "{out}"], ["'Pendulum-v1'", *WORLDS]),
    "bench without arms": (["bench", "envs", "--arms", "0", "--out", "{out}"], ["arms", "0", "at least 1"]),
}


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Files to be wrong with, by the name that stands for them in the table; the working folder is empty."""
    run = shutil.copytree(tiny_run(), tmp_path / "run")
    learner = run / "learner.safetensors"
    contents = {"text": b"not a checkpoint\n", "empty": b"", "torn": learner.read_bytes()[:-100]}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "table.json").write_text('{"g_us": [0, 10]}')
    (tmp_path / "torn_run").mkdir()
    (tmp_path / "torn_run" / "checkpoint.safetensors").write_bytes((run / "checkpoint.safetensors").read_bytes()[:900])
    (tmp_path / "working").mkdir()
    monkeypatch.chdir(tmp_path / "working")
    names = ("run", "torn_run", "none", "out", *contents)
    return {name: str(tmp_path / name) for name in names} | {
        "learner": str(learner),
        "table": str(tmp_path / "table.json"),
    }


def message(err):
    """Return standard error in one line, without the frame of tyro's box, which is plain where there is no UTF-8."""
    return " ".join(re.sub("[│╭╮╰╯─|]|-{3,}", " ", err).split())


@pytest.mark.parametrize("case", CASES)
def test_wrong_input_is_named_and_leaves_nothing(case, places, tmp_path, monkeypatch, capsys):
    typed, wanted = CASES[case]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    before = snapshot(tmp_path)
    with pytest.raises(SystemExit) as end:
        run_here(*(part.format(**places) for part in typed))
    err = capsys.readouterr().err
    said = message(err)
    assert end.value.code == 2
    assert "Traceback" not in err
    one_line = err.startswith("error: ") and err.count("\n") == 1
    one_box = "error: " not in err and err.count("For full helptext, ") == 1  # tyro's, whose frame may be of spaces
    assert one_line or one_box, err
    missing = [part for part in (part.format(**places) for part in wanted) if part not in squeezed(said, part)]
    assert not missing, f"{missing} not in: {said}"
    assert snapshot(tmp_path) == before


def squeezed(said, part):
    """Return the message, without its spaces where a path may have been broken over two lines of a box."""
    return said if part in said else said.replace(" ", "")


@pytest.mark.parametrize("case", ["env of ours", "memory"])
def test_wrong_input_ends_a_real_process_with_2(case, places, tmp_path):
    typed, wanted = CASES[case]
    script, *rest = [part.format(**places) for part in typed]
    before = snapshot(tmp_path)
    code, out, err = run_apart(f"launch.{script}", *rest, cwd=tmp_path / "working")
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert all(part in message(err) for part in wanted)
    assert snapshot(tmp_path) == before


def test_help_is_no_error(capsys):
    with pytest.raises(SystemExit) as end:
        run_here("evaluate", "dynamics", "--help")
    assert end.value.code == 0
    assert "--memory" in capsys.readouterr().out
