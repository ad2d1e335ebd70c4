"""Training plain, CAVIA and MAML: what the runs leave behind is what the suite puts to work."""

import shutil

import numpy as np
import pytest

from agents.cells import Cell, Order, SuiteCfg
from agents.checkpoint import load
from agents.learners import LEARNERS, TRACK, checkpoint_path
from agents.suite_cell import outcome
from tests.helpers import PLANAR, TINY, options, run_here

NAMES = {"plain": "delta-plain", "cavia": "cavia", "maml": "maml"}


@pytest.fixture(scope="module", params=NAMES)
def trained(request, tmp_path_factory):
    """The name in the registry, and a folder with the checkpoint of a tiny run."""
    folder = tmp_path_factory.mktemp(request.param)
    run_here("train", "dynamics", "--learner", request.param, "--out", str(folder / "run"), *options(TINY))
    name = NAMES[request.param]
    assert LEARNERS[name].checkpoint is not None
    shutil.copy(folder / "run" / "learner.safetensors", folder / f"{name}-planartrack-v0-0.safetensors")
    return name, folder


def test_what_was_trained_runs_in_software_and_on_chips(trained):
    name, folder = trained
    cfg = SuiteCfg(PLANAR, chips=2, tasks=2, lessons=1, checkpoints=folder)
    assert checkpoint_path(name, PLANAR, 0, folder) == folder / f"{name}-planartrack-v0-0.safetensors"
    for memory, chips in (("float", 1), ("hermes_2", 2)):
        found = outcome(Order(cfg, Cell(name, memory, "in_range")).checked())
        assert found.error.shape == (chips, 2, 2)
        assert np.isfinite(found.error).all()
        written = found.devices_written[..., 1]
        assert (written > 0).all() if memory == "hermes_2" and name != "cavia" else (written == 0).all()
        assert (found.energy_j[..., 1] > 0).all() == (memory == "hermes_2")


def test_it_says_what_it_is_and_how_it_was_trained(trained):
    name, folder = trained
    _, header = load(folder / "run" / "learner.safetensors")
    assert header["learner"] == {"delta-plain": "delta"}.get(name, name)
    assert header["train"]["rounds"] == 1
    assert set(header["rule"]) >= {"lags", "error_clip"}


@pytest.mark.parametrize("name", ["ridge", "rls", "rls-nominal", "slotine_li"])
@pytest.mark.parametrize("env_id", TRACK)
def test_software_baselines_run_everywhere(name, env_id):
    found = outcome(Order(SuiteCfg(env_id, tasks=2, lessons=1), Cell(name, "float", "in_range")).checked())
    assert np.isfinite(found.error).all()
    assert (found.devices_written == 0).all()
    with pytest.raises(ValueError, match="software alone"):
        Order(SuiteCfg(env_id), Cell(name, "hermes_2", "in_range")).checked()
