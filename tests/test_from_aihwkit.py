"""The page for users of aihwkit: its snippets run in order, aihwkit's own where it is installed; its names exist."""

import dataclasses
import importlib.util
import re

import pytest
import torch

import pcm_backend
from pcm_backend import DEVICES, CrossbarCfg, PeripheryCfg, UpdateCfg
from tests.helpers import ROOT

PAGE = (ROOT / "docs" / "from_aihwkit.md").read_text()
SNIPPETS = re.findall(r"^```python( aihwkit)?\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def _tidy():
    """Leave neither devices nor random numbers behind."""
    before = set(DEVICES)
    with torch.random.fork_rng():
        torch.manual_seed(1000)
        yield
    for name in set(DEVICES) - before:
        del DEVICES[name]


def run(snippets):
    names = {}
    for number, text in enumerate(snippets):
        exec(compile(text, f"snippet {number} of docs/from_aihwkit.md", "exec"), names)
    return names


@pytest.mark.usefixtures("_tidy")
def test_our_snippets_run():
    snippets = [text for theirs, text in SNIPPETS if not theirs]
    assert len(snippets) >= 7
    assert run(snippets)["y"].shape == (8, 16, 2)


@pytest.mark.skipif(
    importlib.util.find_spec("aihwkit") is None, reason='needs aihwkit 1.2.0: pip install "phasearm[oracle]"'
)
@pytest.mark.usefixtures("_tidy")
def test_all_snippets_run_with_aihwkit():
    run([text for _, text in SNIPPETS])


def test_names_on_our_side_of_the_tables_exist():
    ours = " ".join(row.split("|")[2] for row in PAGE.splitlines() if row.startswith("| ") and "---" not in row)
    named = set(re.findall(r"`([A-Z]\w+|[a-z_]+(?=\())", ours))
    known = {*pcm_backend.__all__, "advance", "write", "weights"}
    assert {name for name in named if name not in known} == set()
    devices = set(re.findall(r'`"(\w+)"`', ours))
    assert devices >= {"pcm_like", "hermes_1", "hermes_2", "state_independent", "ideal"}
    known = {field.name for cfg in (CrossbarCfg, PeripheryCfg, UpdateCfg) for field in dataclasses.fields(cfg)}
    assert set(re.findall(r"(\w+)=", ours)) <= known | {"n_chips", "generator", "bias"}
