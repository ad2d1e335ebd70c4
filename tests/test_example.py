"""The example: short, made of public names alone, and it shows what it says."""

import ast
import runpy

import torch

import pcm_backend
from tests.helpers import ROOT

EXAMPLE = ROOT / "examples" / "own_policy.py"


def test_it_is_short_and_uses_public_names_alone():
    text = EXAMPLE.read_text()
    assert len(text.splitlines()) < 60
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom | ast.Import)]
    modules = {getattr(node, "module", None) or node.names[0].name for node in imports}
    assert modules == {"torch", "pcm_backend"}
    ours = {alias.name for node in imports if getattr(node, "module", "") == "pcm_backend" for alias in node.names}
    assert ours <= set(pcm_backend.__all__)


def test_it_learns_on_the_chip_and_keeps_most_of_it_for_a_month(capsys):
    with torch.random.fork_rng():
        left = runpy.run_path(str(EXAMPLE))
    errors = list(left["errors"].values())
    old, new, *lessons, month = errors
    assert old < 0.3 * new
    assert lessons[-1] < 0.5 * new
    assert lessons[-1] < month < 0.7 * new
    ledger = left["chips"].ledger
    assert (ledger.devices > 6 * 128).all()  # six writes to two slices of 2 x 64 pairs, after the first programming
    assert repr(ledger) in capsys.readouterr().out
