"""What tests of several rooms share: scripts run in this process or in one of their own, and a tiny training."""

import contextlib
import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.checkpoint import load, save

ROOT = Path(__file__).resolve().parent.parent
PLANAR, SCORBOT = "envs:PhaseArm/PlanarTrack-v0", "envs:PhaseArm/ScorbotTrack-v0"

# Two bodies, two episodes and one gradient step a round: a training that takes a second.
TINY = {
    **{"rounds": 1, "bodies": 2, "episodes": 2, "steps": 1, "batch": 2, "hidden": 4, "features": 3},
    **{"warm-rounds": 1, "threads": 1},
}

SPIKING_SHAPES = {
    **{"W_in": (5, 250), "W_rec": (250, 250), "W_out": (250, 2)},
    **{"W_in_lsg": (53, 800), "W_rec_lsg": (800, 800), "W_out_lsg": (800, 250)},
}


def options(values):
    """Return {"a-b": 1} as ["--a-b", "1"]."""
    return [part for name, value in values.items() for part in (f"--{name}", str(value))]


@contextlib.contextmanager
def command_line(*arguments):
    """Let a script see these arguments, for as long as the context lasts."""
    before, sys.argv = sys.argv, list(arguments)
    try:
        yield
    finally:
        sys.argv = before


def run_here(script, *arguments):
    """Run `python -m launch.<script> ...` in this process."""
    with command_line(f"launch/{script}.py", *arguments):
        importlib.import_module(f"launch.{script}").main()


def start_apart(module, *arguments, cwd=ROOT):
    """Start `python -m <module> ...` in a process of its own, with one thread; return it."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=cwd, env=environment, **pipes)


def run_apart(module, *arguments, cwd=ROOT):
    """Run `python -m <module> ...` to its end; return exit code, standard output and standard error."""
    process = start_apart(module, *arguments, cwd=cwd)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def descendants(pid):
    """Return the processes that a process started, and those that these did; by Linux's own lists of children."""
    found = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            for child in listed.read_text().split():
                found += [int(child), *descendants(child)]
    return found


def kill_a_worker(process, begun, called="spawn_main"):
    """Kill -9 a worker among the descendants of a process as soon as `begun()` says so.

    `called` is a part of its command line: multiprocessing's own is spawn_main; Ray's are ray::NAME while they are at
    work on a function of that name.
    """
    end = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < end:
        for pid in descendants(process.pid) if begun() else ():
            with contextlib.suppress(OSError):
                if called.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)
                    return
        time.sleep(0.02)
    raise AssertionError("there was no worker to kill")


@functools.cache
def tiny_run(env_id=PLANAR):
    """Return the folder of a tiny finished training, the same for every test of this process."""
    folder = tempfile.TemporaryDirectory(prefix="phasearm-tiny-")
    _KEPT.append(folder)  # removed when the process ends
    path = Path(folder.name) / "run"
    with open(os.devnull, "w") as quiet, contextlib.redirect_stdout(quiet):
        run_here("train", "dynamics", "--env", env_id, "--out", str(path), *options(TINY))
    return path


@functools.cache
def random_characters_weights():
    """Return a file of the released classifier's arrays (kernels: height, width, in, out) with random numbers."""
    import numpy as np

    folder = tempfile.TemporaryDirectory(prefix="phasearm-characters-")
    _KEPT.append(folder)
    rng, path = np.random.default_rng(0), Path(folder.name) / "weights.npz"
    sizes = {"kernel1": (3, 3, 1, 56), **{f"kernel{k}": (3, 3, 56, 56) for k in (2, 3, 4)}, "readout": (56, 5)}
    np.savez(path, **{name: 0.1 * rng.standard_normal(size, dtype=np.float32) for name, size in sizes.items()})
    return path


@functools.cache
def untrained_classifier():
    """Return the checkpoint of an untrained few-shot learner, as a run exports it; the same for every test."""
    import pytest
    import torch

    from agents import maml_checkpoint
    from agents.maml import MamlLearner
    from envs.characters import Characters
    from envs.glyphs import draw_glyphs

    folder = tempfile.TemporaryDirectory(prefix="phasearm-classifier-")
    _KEPT.append(folder)
    learner = MamlLearner().requires_grad_(False)
    learner.net.draw(torch.Generator().manual_seed(0))
    family = Characters(draw_glyphs(24, 7, np.random.default_rng(0)), "glyphs")
    path = Path(folder.name) / "learner.safetensors"
    with pytest.MonkeyPatch.context() as patch:  # few pictures to settle on: seconds less
        patch.setattr(maml_checkpoint, "SETTLING_PICTURES", 128)
        patch.setattr(maml_checkpoint, "RANGE_TASKS", 1)
        maml_checkpoint.export(path, learner, family, {"quantize": 0, "seed": 0})
    return path


@functools.cache
def random_spiking_weights():
    """Return the path of an npz with random arrays of the spiking arm's shapes."""
    rng = np.random.default_rng(0)
    folder = tempfile.TemporaryDirectory(prefix="phasearm-tiny-")
    _KEPT.append(folder)
    path = Path(folder.name) / "weights.npz"
    arrays: dict[str, Any] = {name: rng.normal(0.0, 0.03, shape) for name, shape in SPIKING_SHAPES.items()}
    np.savez(path, **arrays)
    return path


_KEPT = []


def snapshot(folder):
    """Return every path under a folder with the bytes of the files."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def log_lines(path):
    """Return the lines of a metrics.jsonl without the time they took."""
    return [{k: v for k, v in json.loads(line).items() if k != "wall_s"} for line in path.read_text().splitlines()]


def refuses_unchanged(run, checkpoint):
    """Check that a run takes up nothing of a checkpoint whose last array is of another shape, or is not there."""
    tensors, header = load(checkpoint)
    last = max(name for name in tensors if "adam." in name)
    rest = {name: value for name, value in tensors.items() if name != last}
    bad, before, after = (checkpoint.with_name(f"{name}.safetensors") for name in ("bad", "before", "after"))
    run.save(before)
    for arrays in (rest | {last: torch.zeros(7, 7)}, rest):
        save(bad, arrays, header)
        with pytest.raises(ValueError, match="adam"):
            run.resume(bad)
        run.save(after)
        assert after.read_bytes() == before.read_bytes()
