"""What the documentation shows of the results is what the tables beside it hold."""

import csv
import hashlib
import json
import re

import numpy as np
import pytest

from agents.budget import beside, read_steps
from agents.learners import LEARNERS
from agents.results import Key, Results
from launch.figures import FIGURES, env_of
from tests.helpers import ROOT

FOLDER = ROOT / "docs/results"
TABLES = [table for table in sorted(FOLDER.glob("*.csv.gz")) if (FOLDER / table.name.removesuffix(".csv.gz")).is_dir()]


def page(table):
    return FOLDER / table.name.removesuffix(".csv.gz")


def numbers(table):
    """Return the numbers of a table's page; skip where the table has grown since it was drawn."""
    shown = json.loads((page(table) / "metrics.json").read_text())
    if shown["table_sha256"] != hashlib.sha256(table.read_bytes()).hexdigest():
        pytest.skip(f"{table.name} has grown since its figures were drawn: {shown['command']}")
    return shown


def test_there_is_a_table_of_each_arm_that_is_small():
    assert {"planartrack-v0", "scorbottrack-v0"} <= {page(table).name for table in TABLES}
    assert sum(table.stat().st_size for table in FOLDER.glob("*.csv.gz")) < 5_000_000


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_numbers_are_those_of_the_table(table):
    results, shown = Results.read(table), numbers(table)
    assert shown["env"] == env_of(table)
    assert {(row["learner"], row["memory"], row["band"]) for row in shown["rows"]} == set(results.keys)
    for row in shown["rows"]:
        block = results.block(Key(row["learner"], row["memory"], row["band"]))
        assert row["error"][0] == pytest.approx(block.error[..., -1].mean()), row
        assert row["error"][1] <= row["error"][0] <= row["error"][2]
        assert row["devices_a_lesson"] == pytest.approx(block.devices[..., 1:].mean()), row
        assert row["meta_seeds"] == list(block.meta_seeds)
        assert np.isfinite(block.error).all()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_budgets_are_those_of_the_trainings_in_the_table(table):
    results = Results.read(table)
    seeds = {(key.learner, seed) for key in results.keys for seed in results.block(key).meta_seeds}
    with beside(table).open(newline="") as file:
        lines = list(csv.DictReader(file))
    trained = {(who, seed) for who, seed in seeds if LEARNERS[who].checkpoint is not None}
    assert {(line["learner"], int(line["meta_seed"])) for line in lines} == trained
    assert all(int(line["env_steps"]) > 0 and len(line["sha256"]) == 64 for line in lines)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_steps_shown_are_those_of_the_budgets(table):
    steps = read_steps(beside(table))
    rows = json.loads((page(table) / "metrics.json").read_text())["rows"]
    for row in rows:
        assert row["env_steps"] == steps.get(row["learner"], "none")
    text = (FOLDER.parent / "results.md").read_text()
    shown = re.search(rf"<!-- {page(table).name} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert shown is not None
    ranked = {row["learner"] for row in rows if row["band"] == "in_range"}
    assert all(f"| {each} |" in shown[1] for who, each in steps.items() if who in ranked)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_figure_of_a_page_is_there_and_small(table):
    text = (page(table) / "figures.md").read_text()
    drawn = {path.stem for path in page(table).glob("*.png")}
    assert {"adaptation", "improvement"} <= drawn <= set(FIGURES)
    for name in drawn:
        assert f"({name}.png)" in text
        assert (page(table) / f"{name}.png").stat().st_size <= 150_000
    command = f"python -m launch.figures --table docs/results/{table.name} --out docs/results/{page(table).name}"
    assert command in text
